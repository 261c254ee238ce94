"""Limb outliers: limbs on another person, left/right swaps, and fast motion that is neither."""

from dataclasses import replace

import numpy as np
import pytest

from backend.body.keypoint_fit.observations import LEVEL
from backend.body.kinematics import Skeleton
from backend.body.landmarks import LEG_BONES
from backend.motion import pipeline
from backend.motion.limb_outliers import suppress_limb_outliers, viterbi_path
from backend.motion.track_problem import TrackProblem
from benchmarks.clips.motions import MOTIONS, MotionMaker
from benchmarks.clips.simulated_detections import observed_track

LEFT, RIGHT = [25, 27, 29, 31], [26, 28, 30, 32]


@pytest.fixture(scope="module")
def crossing(body):
    scene = MOTIONS["cross"](MotionMaker(body), (960, 540), seconds=3.0)
    rng = np.random.default_rng(0)
    noise = {"pixel": 0.003, "metres": 0.01, "depth": 0.02}
    tracks = [
        observed_track(body, one, scene.camera, rng, identity=k + 1, **noise) for k, one in enumerate(scene.people)
    ]
    return scene, tracks


def changed(track):
    return replace(track, keypoints2d=track.keypoints2d.copy(), keypoints3d=track.keypoints3d.copy())


def with_a_leg_of_each_other(tracks, rows):
    """Each person's left or right leg detected on the other's, half-way there in the first and the last row."""
    one, other = map(changed, tracks)
    for swapped, source, side in ((one, tracks[1], LEFT), (other, tracks[0], RIGHT)):
        for row in rows:
            part = 0.5 if row in (rows[0], rows[-1]) else 1.0
            for name in ("keypoints2d", "keypoints3d"):
                values, theirs = getattr(swapped, name), getattr(source, name)
                values[row, side] = (1 - part) * values[row, side] + part * theirs[row, side]
            swapped.keypoints2d[row, side, 2] = 0.6
    return [one, other]


def error_of_ankles(body, scene, tracks):
    """(people,) m, mean pelvis-relative error of the ankles while the two cross."""
    motions, _ = pipeline.recover_motions(body, tracks, scene.camera, scene.fps, foot_lock="never")
    gaps = []
    for motion, gt in zip(motions, scene.people, strict=True):
        own, gt_local = (j[:, [7, 8]] - j[:, :1] for j in (motion.joints, gt.joints))
        gaps.append(np.linalg.norm(own - gt_local, axis=-1)[48:64].mean())
    return np.array(gaps)


@pytest.mark.parametrize("first", [46, 54])
def test_legs_of_another_person_are_suppressed(body, crossing, first):
    scene, tracks = crossing
    rows = range(first, first + 8)
    swapped = with_a_leg_of_each_other(tracks, rows)
    for track, side in zip(suppress_limb_outliers(swapped, scene.fps), (LEFT, RIGHT), strict=True):
        off = (track.keypoints2d[:, side, 2] == 0).all(1)
        # a neighbouring frame may go too, where the legs nearly meet
        assert set(rows) <= set(np.nonzero(off)[0]) <= set(range(first - 1, first + 9))
    clean = error_of_ankles(body, scene, tracks)
    assert (error_of_ankles(body, scene, swapped) < clean + 0.03).all()


def test_legs_swapped_while_two_people_cross_are_repaired(body, crossing, monkeypatch):
    """As the landmark network does it: the front person's legs swap for some frames, with a half-swapped frame at each
    end; both legs of the person behind are detected in one place."""
    scene, tracks = crossing
    front, behind = map(changed, tracks)
    rows = np.arange(44, 64)
    for values in (behind.keypoints2d, behind.keypoints3d):
        values[np.ix_(rows, RIGHT)] = values[np.ix_(rows, LEFT)]
    behind.keypoints2d[np.ix_(rows, RIGHT, [2])] = 0.5
    for row, part in ((54, 0.5), (55, 1.0), (60, 1.0), (61, 0.5)):
        for values in (front.keypoints2d, front.keypoints3d):
            left, right = values[row, LEFT].copy(), values[row, RIGHT].copy()
            values[row, LEFT] = part * right + (1 - part) * left
            values[row, RIGHT] = part * left + (1 - part) * right
    found = error_of_ankles(body, scene, [front, behind])
    monkeypatch.setattr(pipeline, "suppress_limb_outliers", lambda tracks, fps: list(tracks))
    before = error_of_ankles(body, scene, [front, behind])
    assert (found < 0.8 * before).all()
    assert (found < [0.08, 0.15]).all()


def test_the_motion_returns_the_detected_keypoints(body, crossing):
    scene, tracks = crossing
    swapped = with_a_leg_of_each_other(tracks, range(50, 58))
    before = [track.keypoints2d.copy() for track in swapped]
    motions, _ = pipeline.recover_motions(body, swapped, scene.camera, scene.fps, foot_lock="never")
    for motion, points in zip(motions, before, strict=True):
        np.testing.assert_array_equal(motion.keypoints2d, points)


def test_correct_limbs_of_crossing_people_are_kept(crossing):
    _, tracks = crossing
    for track, found in zip(tracks, suppress_limb_outliers(tracks, 30.0), strict=True):
        np.testing.assert_array_equal(found.keypoints2d[..., :2], track.keypoints2d[..., :2])
        assert (found.keypoints2d[..., 2] > 0).mean() > 0.9


@pytest.mark.parametrize("name", ["dance", "run"])
def test_fast_motion_is_not_an_outlier(case, name):
    one = case(name, 3.0).track
    other = changed(one)  # a standing person two steps away
    other.keypoints2d[:] = one.keypoints2d[0] + np.float32([300, 0, 0])
    for tracks in ([one], [one, other]):
        found = suppress_limb_outliers(tracks, 30.0)[0]
        np.testing.assert_array_equal(found.keypoints2d, one.keypoints2d)
        np.testing.assert_array_equal(found.keypoints3d, one.keypoints3d)


def with_sides_swapped(track, rows):
    swapped = changed(track)
    for values, read in ((swapped.keypoints2d, track.keypoints2d), (swapped.keypoints3d, track.keypoints3d)):
        values[rows, LEFT], values[rows, RIGHT] = read[rows, RIGHT], read[rows, LEFT]
    return swapped


def widest(track):
    """The row, away from the clip's ends, in which the ankles are farthest apart."""
    apart = np.linalg.norm(track.keypoints2d[:, 27, :2] - track.keypoints2d[:, 28, :2], axis=1)
    return 12 + int(apart[12:-24].argmax())


def test_short_left_right_swaps_of_legs_are_suppressed(case):
    one = case("walk", 2.0).track
    row = widest(one)
    (found,) = suppress_limb_outliers([with_sides_swapped(one, slice(row, row + 2))], 30.0)
    off = (found.keypoints2d[..., 2] == 0).any(1)
    np.testing.assert_array_equal(np.nonzero(off)[0], np.arange(row - 1, row + 3))
    assert (found.keypoints2d[row, LEFT + RIGHT, 2] == 0).all()
    np.testing.assert_array_equal(found.keypoints2d[~off], one.keypoints2d[~off])


def test_a_whole_body_swap_is_left_to_the_fit(case):
    one = case("walk", 2.0).track
    row = widest(one)
    swapped, (left, right) = changed(one), (list(range(11, 33, 2)), list(range(12, 33, 2)))
    for values in (swapped.keypoints2d, swapped.keypoints3d):
        values[row, left + right] = values[row, right + left]
    (found,) = suppress_limb_outliers([swapped], 30.0)
    np.testing.assert_array_equal(found.keypoints2d[row], swapped.keypoints2d[row])


def test_a_duplicated_leg_is_suppressed_near_another_person(case):
    one = case("walk", 2.0).track
    row = widest(one)
    doubled, near = changed(one), changed(one)
    rows = slice(row, row + 4)
    doubled.keypoints2d[rows, LEFT] = one.keypoints2d[rows, RIGHT] + np.float32([3, 0, -0.4])
    near.keypoints2d[..., 0] += 60
    far = changed(near)
    far.keypoints2d[..., 0] += 600
    found = suppress_limb_outliers([doubled, near], 30.0)[0]
    assert (found.keypoints2d[rows, LEFT, 2] == 0).all()
    assert (found.keypoints2d[rows, RIGHT, 2] > 0).all()
    alone = suppress_limb_outliers([doubled, far], 30.0)[0]
    assert (alone.keypoints2d[rows, LEFT, 2] > 0).any()


def path(x, skip_cost=0.2, speed_limit=3.0):
    positions = np.asarray(x, float)[:, None, None, None] * [1.0, 0.0]
    count = len(positions)
    skips, limits = np.full(count, skip_cost), np.full(count, speed_limit)
    return viterbi_path(positions, np.zeros((count, 1)), skips, limits, 30.0).tolist()


def test_viterbi_path():
    assert path([0, 0.1, 0.2, 1.5, 1.6, 0.4, 0.5]) == [0, 0, 0, -1, -1, 0, 0]
    assert path([0, 0.1, 0.2, 1.5, 1.6, 0.4, 0.5], speed_limit=40.0) == [0] * 7
    assert path([0] * 30 + [9] * 30) == [0] * 60  # a jump that lasts is not an outlier
    assert path([0.5]) == [0]
    assert path([]) == []


@pytest.mark.parametrize("count, bridged", [(8, True), (40, False)])
def test_legs_suppressed_for_a_moment_are_bridged(case, count, bridged):
    one = case("walk", 2.0)
    track = changed(one.track)
    rows = slice(10, 10 + count)
    track.keypoints2d[rows, 23:, 2] = 0
    problem = TrackProblem(Skeleton(one.body), track, one.scene.camera, None, LEVEL, None, bridged_rows=30)
    bone_confidence = problem.observed.bone_confidence[rows][:, LEG_BONES]
    assert (bone_confidence == 0).all() if bridged else (bone_confidence > 0.5).all()
