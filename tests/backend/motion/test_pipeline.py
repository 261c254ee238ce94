"""Motions from noisy detections with known truth: jitter, error, foot slide, gaps, swaps."""

from dataclasses import replace

import numpy as np
import pytest

from backend.body.kinematics import State
from backend.body.procrustes import pa_mpjpe
from backend.errors import Cancelled
from backend.geometry import rotations_numpy as rot
from backend.motion import track_fit
from backend.motion.metrics import acceleration_peak_ratio, foot_slide, jitter, mpjpe, penetration
from backend.motion.pipeline import recover_motions


def rows_of(track, at):
    """The track with the rows `at` only."""
    names = ("frames", "seen", "boxes", "scores", "keypoints2d", "keypoints3d")
    return replace(track, **{name: getattr(track, name)[at] for name in names})


def with_gap(case, gone):
    """The case's track without detections in the rows `gone`, and the bodies of the others."""
    names = ("seen", "boxes", "scores", "keypoints2d", "keypoints3d")
    fields = {name: getattr(case.track, name).copy() for name in names}
    for values in fields.values():
        values[gone] = 0
    return replace(case.track, **fields), case.per_frame()[fields["seen"]]


def recover(case, **settings):
    per_frame = [case.per_frame()] if case.track.seen.any() else [None]
    motions, world = recover_motions(
        case.body, [case.track], case.scene.camera, case.scene.fps, per_frame=per_frame, **settings
    )
    return motions[0], world


@pytest.mark.parametrize("name", ["walk", "dance"])
def test_jitter_goes_and_fast_motion_stays(case, name):
    one = case(name)
    motion, _ = recover(one)
    alone = one.skeleton.forward(one.per_frame())[1]
    gt = one.gt.joints
    assert jitter(motion.joints, 30) < 0.2 * jitter(alone, 30)
    assert acceleration_peak_ratio(motion.joints, gt) >= 0.9
    # one shape for all frames costs some accuracy in each
    assert pa_mpjpe(motion.joints, gt).mean() < 1.1 * pa_mpjpe(alone, gt).mean()


def test_feet_in_contact_stay_in_place_and_above_the_ground(case):
    one = case("walk")
    free, _ = recover(one, foot_lock="never")
    locked, world = recover(one)
    contacts = one.gt.contacts
    assert foot_slide(one.feet(locked), contacts) < 0.6 * foot_slide(one.feet(free), contacts)
    assert penetration(world.points(one.feet(locked).reshape(len(contacts), -1, 3))) < 5
    right = (locked.contacts & contacts).sum()
    assert right > 0.8 * locked.contacts.sum()
    assert right > 0.6 * contacts.sum()
    assert not free.contacts.any()
    # it costs less than one percent of the person's height in reprojection
    height = np.ptp(one.track.boxes[:, [1, 3]], axis=1).mean()
    assert locked.reprojection_px.mean() - free.reprojection_px.mean() < 0.01 * height


def test_always_has_a_contact_in_every_frame(case):
    motion, _ = recover(case("walk"), foot_lock="always")
    assert motion.contacts.any(1).all()


def test_more_smoothing_gives_less_jitter(case):
    one = case("walk", 1.2)
    found = [jitter(recover(one, smoothing=s, foot_lock="never")[0].joints, 30) for s in (0.0, 0.3, 0.6, 1.0)]
    assert found == sorted(found, reverse=True)
    assert found[3] < 0.1 * found[0]


def test_a_short_gap_is_filled_and_marked(case):
    one = case("walk", 2.0)
    track, per_frame = with_gap(one, slice(25, 35))
    (motion,), _ = recover_motions(one.body, [track], one.scene.camera, 30, per_frame=[per_frame])
    np.testing.assert_array_equal(np.nonzero(motion.filled)[0], np.arange(25, 35))
    assert not motion.hidden.any()
    assert (motion.confidence[25:35] == 0).all()
    gt = one.gt.joints
    assert mpjpe(motion.joints[25:35], gt[25:35]) < 2.5 * mpjpe(motion.joints, gt)
    step = np.linalg.norm(np.diff(motion.joints, axis=0), axis=-1).max(1)
    assert step[24:36].max() < 2 * step.max()


def test_left_right_swaps_do_no_harm(case):
    clean, bad = case("walk", 2.0), case("walk", 2.0, flipped=0.06)
    exchanged = np.abs(clean.track.keypoints2d - bad.track.keypoints2d).max((1, 2)) > 10
    assert 1 <= exchanged.sum() <= 10
    motion, _ = recover(bad)
    error = np.linalg.norm(motion.joints - bad.gt.joints, axis=-1).mean(1)
    assert error[exchanged].mean() < 1.5 * error[~exchanged].mean()


def test_windows_leave_no_seam(case, monkeypatch):
    one = case("turn", 5.0)
    whole, _ = recover(one, foot_lock="never")
    monkeypatch.setattr(track_fit, "WINDOW", 80)
    monkeypatch.setattr(track_fit, "OVERLAP", 40)
    parts, _ = recover(one, foot_lock="never")
    # an ambiguous pose may be resolved differently, but there must be no jump
    gap = parts.joints - whole.joints
    assert np.linalg.norm(gap, axis=-1).mean() < 0.01
    assert np.linalg.norm(np.diff(gap, axis=0), axis=-1).max() < 0.03
    sharp = np.linalg.norm(np.diff(parts.joints, n=2, axis=0), axis=-1).max(1)
    usual = np.linalg.norm(np.diff(whole.joints, n=2, axis=0), axis=-1).max(1)
    assert sharp.max() < 1.5 * usual.max()


def test_a_given_height_sets_the_scale(case):
    one = case("walk", 1.2)
    motion, _ = recover(one, height_m=1.9)
    height = one.skeleton.height + one.skeleton.height_directions @ motion.betas
    assert abs(height - 1.9) < 0.02
    smaller, _ = recover(one, height_m=1.6)
    assert smaller.trans[:, 2].mean() < 0.9 * motion.trans[:, 2].mean()


def test_poses_of_a_network_become_one_motion(case):
    one = case("walk", 1.5)
    rng = np.random.default_rng(1)
    count = len(one.gt.poses)
    noisy = rot.exp(one.gt.poses) @ rot.exp(0.03 * rng.standard_normal((count, 24, 3)))
    given = State(noisy, one.gt.betas + 0.2 * rng.standard_normal((count, 10)), one.gt.trans.copy())
    settings = {"per_frame": [given], "network_poses": True}
    (motion,), _ = recover_motions(one.body, [one.track], one.scene.camera, 30, **settings)
    before = one.skeleton.forward(given)[1]
    assert jitter(motion.joints, 30) < 0.3 * jitter(before, 30)
    assert pa_mpjpe(motion.joints, one.gt.joints).mean() < pa_mpjpe(before, one.gt.joints).mean()
    assert np.abs(motion.betas - one.gt.betas).max() < 0.1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_tracks_work(case, count):
    one = case("walk", 1.2)
    (motion,), _ = recover_motions(one.body, [rows_of(one.track, slice(count))], one.scene.camera, 30)
    assert motion.poses.shape == (count, 24, 3)
    assert np.isfinite(motion.joints).all()


def test_no_people_give_no_motion(case):
    one = case("walk", 1.2)
    motions, world = recover_motions(one.body, [], one.scene.camera, 30)
    assert motions == []
    assert world.translation[2] > 0
    unseen = replace(one.track, seen=np.zeros_like(one.track.seen))
    assert recover_motions(one.body, [unseen], one.scene.camera, 30)[0] == []


def test_it_can_be_cancelled(case):
    def stop(part):
        if part > 0.2:
            raise Cancelled

    one = case("walk", 1.2)
    with pytest.raises(Cancelled):
        recover_motions(one.body, [one.track], one.scene.camera, 30, on_progress=stop)


def test_results_are_deterministic(case):
    one = case("walk", 1.2)
    first, second = recover(one)[0], recover(one)[0]
    np.testing.assert_array_equal(first.poses, second.poses)
    np.testing.assert_array_equal(first.trans, second.trans)


def test_long_gaps_are_hidden_and_separate_the_motion(case):
    one = case("walk", 4.0)
    gone = slice(40, 80)
    track, per_frame = with_gap(one, gone)
    (motion,), _ = recover_motions(one.body, [track], one.scene.camera, 30, per_frame=[per_frame])
    np.testing.assert_array_equal(np.nonzero(motion.hidden)[0], np.arange(40, 80))
    np.testing.assert_array_equal(motion.hidden, motion.filled)
    assert not motion.contacts[gone].any()
    assert np.isfinite(motion.poses).all()
    # each side is what it would be alone: no smoothness term reaches across the gap
    late = rows_of(track, slice(80, None))
    (alone,), _ = recover_motions(one.body, [late], one.scene.camera, 30, per_frame=[per_frame[40:]])
    error, usual = (mpjpe(m.joints[-40:], one.gt.joints[80:]) for m in (motion, alone))
    assert error < usual + 5
    moved = np.linalg.norm(np.diff(motion.joints[:, 0], axis=0), axis=-1)
    assert moved[gone].max() < 2 * moved[:39].max()
