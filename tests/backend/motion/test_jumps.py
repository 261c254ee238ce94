"""Limbs that jump: onto another person, onto the other side, and motion that is none."""

from dataclasses import replace

import numpy as np
import pytest

from backend.body.keypoint_fit.fit import LEVEL
from backend.body.kinematics import Skeleton
from backend.body.landmarks import LEG_BONES
from backend.motion import pipeline
from backend.motion.jumps import cheapest_path, without_jumps
from backend.motion.track_fit import TrackProblem
from benchmarks.clips.motions import MOTIONS, Maker
from benchmarks.clips.observe import observed_track

LEFT, RIGHT = [25, 27, 29, 31], [26, 28, 30, 32]


@pytest.fixture(scope="module")
def crossing(body):
    scene = MOTIONS["cross"](Maker(body), (960, 540), seconds=3.0)
    rng = np.random.default_rng(0)
    noise = {"pixel": 0.003, "metres": 0.01, "depth": 0.02}
    tracks = [
        observed_track(body, one, scene.camera, rng, identity=k + 1, **noise)
        for k, one in enumerate(scene.people)
    ]
    return scene, tracks


def changed(track):
    return replace(track, keypoints2d=track.keypoints2d.copy(), keypoints3d=track.keypoints3d.copy())


def with_a_leg_of_each_other(tracks, rows):
    """One's left leg read on the other's, and the other's right one on one's; on the way at both ends."""
    one, other = map(changed, tracks)
    for mixed, source, side in ((one, tracks[1], LEFT), (other, tracks[0], RIGHT)):
        for row in rows:
            part = 0.5 if row in (rows[0], rows[-1]) else 1.0
            for name in ("keypoints2d", "keypoints3d"):
                values, theirs = getattr(mixed, name), getattr(source, name)
                values[row, side] = (1 - part) * values[row, side] + part * theirs[row, side]
            mixed.keypoints2d[row, side, 2] = 0.6
    return [one, other]


def error_of_ankles(body, scene, tracks):
    """(people,) m, from the pelvis, while the two cross."""
    motions, _ = pipeline.recover_motions(body, tracks, scene.camera, scene.fps, foot_lock="never")
    gaps = []
    for motion, truth in zip(motions, scene.people, strict=True):
        own, true = (j[:, [7, 8]] - j[:, :1] for j in (motion.joints, truth.joints))
        gaps.append(np.linalg.norm(own - true, axis=-1)[48:64].mean())
    return np.array(gaps)


@pytest.mark.parametrize("first", [46, 54])
def test_legs_of_another_are_found_and_move_nobody(body, crossing, first):
    scene, tracks = crossing
    rows = range(first, first + 8)
    mixed = with_a_leg_of_each_other(tracks, rows)
    for track, side in zip(without_jumps(mixed, scene.fps), (LEFT, RIGHT), strict=True):
        off = (track.keypoints2d[:, side, 2] == 0).all(1)
        # a frame beside them may go too, where the legs all but meet
        assert set(rows) <= set(np.nonzero(off)[0]) <= set(range(first - 1, first + 9))
    clean = error_of_ankles(body, scene, tracks)
    assert (error_of_ankles(body, scene, mixed) < clean + 0.03).all()


def test_legs_that_are_mixed_up_while_two_cross_come_out_better(body, crossing, monkeypatch):
    """What the landmark network does there: in one person left and right change places for moments, with a frame
    between both; of the other, who is behind, both legs are read in one place."""
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
    monkeypatch.setattr(pipeline, "without_jumps", lambda tracks, fps: list(tracks))
    before = error_of_ankles(body, scene, [front, behind])
    assert (found < 0.8 * before).all()
    assert (found < [0.08, 0.15]).all()


def test_what_is_said_to_be_detected_stays(body, crossing):
    scene, tracks = crossing
    mixed = with_a_leg_of_each_other(tracks, range(50, 58))
    before = [track.keypoints2d.copy() for track in mixed]
    motions, _ = pipeline.recover_motions(body, mixed, scene.camera, scene.fps, foot_lock="never")
    for motion, points in zip(motions, before, strict=True):
        np.testing.assert_array_equal(motion.keypoints2d, points)


def test_two_who_cross_and_are_read_well_keep_most(crossing):
    _, tracks = crossing
    for track, found in zip(tracks, without_jumps(tracks, 30.0), strict=True):
        np.testing.assert_array_equal(found.keypoints2d[..., :2], track.keypoints2d[..., :2])
        assert (found.keypoints2d[..., 2] > 0).mean() > 0.9


@pytest.mark.parametrize("name", ["dance", "run"])
def test_fast_motion_is_no_jump(case, name):
    one = case(name, 3.0).track
    beside = changed(one)  # somebody who stands two steps away
    beside.keypoints2d[:] = one.keypoints2d[0] + np.float32([300, 0, 0])
    for tracks in ([one], [one, beside]):
        found = without_jumps(tracks, 30.0)[0]
        np.testing.assert_array_equal(found.keypoints2d, one.keypoints2d)
        np.testing.assert_array_equal(found.keypoints3d, one.keypoints3d)


def with_sides_exchanged(track, rows):
    mixed = changed(track)
    for values, read in ((mixed.keypoints2d, track.keypoints2d), (mixed.keypoints3d, track.keypoints3d)):
        values[rows, LEFT], values[rows, RIGHT] = read[rows, RIGHT], read[rows, LEFT]
    return mixed


def widest(track):
    """The row whose ankles are farthest apart, neither near the beginning nor the end."""
    apart = np.linalg.norm(track.keypoints2d[:, 27, :2] - track.keypoints2d[:, 28, :2], axis=1)
    return 12 + int(apart[12:-24].argmax())


def test_legs_that_change_places_for_a_moment_are_left_out(case):
    one = case("walk", 2.0).track
    row = widest(one)
    (found,) = without_jumps([with_sides_exchanged(one, slice(row, row + 2))], 30.0)
    off = (found.keypoints2d[..., 2] == 0).any(1)
    np.testing.assert_array_equal(np.nonzero(off)[0], np.arange(row - 1, row + 3))
    assert (found.keypoints2d[row, LEFT + RIGHT, 2] == 0).all()
    np.testing.assert_array_equal(found.keypoints2d[~off], one.keypoints2d[~off])


def test_a_whole_body_that_is_turned_over_is_left_to_the_fit(case):
    one = case("walk", 2.0).track
    row = widest(one)
    mixed, (left, right) = changed(one), (list(range(11, 33, 2)), list(range(12, 33, 2)))
    for values in (mixed.keypoints2d, mixed.keypoints3d):
        values[row, left + right] = values[row, right + left]
    (found,) = without_jumps([mixed], 30.0)
    np.testing.assert_array_equal(found.keypoints2d[row], mixed.keypoints2d[row])


def test_one_leg_read_twice_is_left_out_where_somebody_is_near(case):
    one = case("walk", 2.0).track
    row = widest(one)
    doubled, near = changed(one), changed(one)
    rows = slice(row, row + 4)
    doubled.keypoints2d[rows, LEFT] = one.keypoints2d[rows, RIGHT] + np.float32([3, 0, -0.4])
    near.keypoints2d[..., 0] += 60
    far = changed(near)
    far.keypoints2d[..., 0] += 600
    found = without_jumps([doubled, near], 30.0)[0]
    assert (found.keypoints2d[rows, LEFT, 2] == 0).all()
    assert (found.keypoints2d[rows, RIGHT, 2] > 0).all()
    alone = without_jumps([doubled, far], 30.0)[0]
    assert (alone.keypoints2d[rows, LEFT, 2] > 0).any()


def path(x, left_out=0.2, allowed=3.0):
    places = np.asarray(x, float)[:, None, None, None] * [1.0, 0.0]
    count = len(places)
    return cheapest_path(
        places, np.zeros((count, 1)), np.full(count, left_out), np.full(count, allowed), 30.0
    ).tolist()


def test_the_cheapest_path():
    assert path([0, 0.1, 0.2, 1.5, 1.6, 0.4, 0.5]) == [0, 0, 0, -1, -1, 0, 0]
    assert path([0, 0.1, 0.2, 1.5, 1.6, 0.4, 0.5], allowed=40.0) == [0] * 7
    assert path([0] * 30 + [9] * 30) == [0] * 60  # who is somewhere else for good went there
    assert path([0.5]) == [0]
    assert path([]) == []


@pytest.mark.parametrize("count, carried", [(8, True), (40, False)])
def test_legs_that_are_taken_away_for_a_moment_are_carried(case, count, carried):
    one = case("walk", 2.0)
    track = changed(one.track)
    rows = slice(10, 10 + count)
    track.keypoints2d[rows, 23:, 2] = 0
    problem = TrackProblem(Skeleton(one.body), track, one.scene.camera, None, LEVEL, None, bridged=30)
    known = problem.observed.known[rows][:, LEG_BONES]
    assert (known == 0).all() if carried else (known > 0.5).all()
