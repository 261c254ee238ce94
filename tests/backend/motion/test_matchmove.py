"""A clip with a known moving camera: the motion in the world, foot slide, the scale of the scene."""

from dataclasses import replace

import numpy as np
import pytest

from backend.body.camera_frames import with_intrinsics
from backend.body.keypoint_fit.fit import initial_state
from backend.body.keypoint_fit.observations import observe
from backend.body.keypoint_fit.problem import Problem, Weights
from backend.body.kinematics import State
from backend.geometry import rotations_numpy as rot
from backend.motion.camera_track import CameraTrack
from backend.motion.matchmove import Matchmove, resize_bodies
from backend.motion.metrics import foot_slide, jitter, mpjpe, penetration
from backend.motion.pipeline import recover_motions
from backend.motion.scene_scale import FootHeights, estimate_scale
from benchmarks.clips.cameras import camera_file_content


def recover(one, scale=1.0, given=0.0, **settings):
    track = CameraTrack.from_content(camera_file_content(one.scene.view, scale))
    focal, center = np.full(2, one.scene.camera.fx), np.array([479.5, 269.5])
    per_frame = with_intrinsics(one.scene.view, one.skeleton, one.per_frame(), focal, center)
    settings = {"per_frame": [per_frame], "matchmove": Matchmove(track, given), **settings}
    (motion,), world = recover_motions(one.body, [one.track], one.scene.camera, 30, **settings)
    return motion, world


def root_error(motion, gt):
    return np.linalg.norm(motion.joints[:, 0] - gt.joints[:, 0], axis=-1).mean()


@pytest.fixture(scope="module")
def known(case):
    return recover(case("dolly"))


def test_the_trajectory_in_the_world(case, known):
    one = case("dolly")
    motion, world = known
    assert world.scale == 1.0
    assert root_error(motion, one.gt) < 0.06
    assert mpjpe(motion.joints, one.gt.joints) < 50
    assert foot_slide(one.feet(motion), one.gt.contacts) < 4
    assert penetration(world.points(one.feet(motion).reshape(len(motion.poses), -1, 3))) < 5
    assert jitter(motion.joints, 30) < 4 * jitter(one.gt.joints, 30)
    right = (motion.contacts & one.gt.contacts).sum()
    assert right > 0.8 * motion.contacts.sum()
    assert right > 0.6 * one.gt.contacts.sum()


def test_a_fixed_camera_would_be_much_worse(case, known):
    one = case("dolly")
    (fixed,), _ = recover_motions(one.body, [one.track], one.scene.camera, 30, per_frame=[one.per_frame()])
    first = one.scene.view[:1]
    # at its best: aligned to the camera of the first frame
    aligned = replace(fixed, joints=(fixed.joints - first.translation[0]) @ first.rotation[0])
    assert root_error(aligned, one.gt) > 10 * root_error(known[0], one.gt)
    slide = foot_slide(one.feet(fixed), one.gt.contacts)
    assert slide > 5 * foot_slide(one.feet(known[0]), one.gt.contacts)


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_the_scale_of_the_scene_is_estimated(case, scale):
    one = case("dolly")
    motion, world = recover(one, scale)
    assert world.scale == pytest.approx(scale, rel=0.05)
    assert root_error(motion, one.gt) < 0.06 * np.linalg.norm(one.gt.joints[:, 0].mean(0))
    assert foot_slide(one.feet(motion), one.gt.contacts) < 4


def height(one, motion):
    return float(one.skeleton.height + one.skeleton.height_directions @ motion.betas)


def test_a_given_scale_sets_the_persons_size(case):
    """In a scene that is 8 % smaller the person is 8 % smaller."""
    one = case("dolly", 1.2)
    found = [recover(one, 2.0, given=given) for given in (2.0, 2.0 * 1.08)]
    assert [world.scale for _, world in found] == [2.0, 2.16]
    assert height(one, found[0][0]) / height(one, found[1][0]) == pytest.approx(1.08, abs=0.015)
    assert height(one, found[0][0]) / height(one, one.gt) == pytest.approx(1, abs=0.05)


def test_a_given_height_sets_the_scale(case):
    one = case("dolly", 1.2)
    gt_height = height(one, one.gt)
    scales = [recover(one, 2.0, height_m=gt_height * more)[1].scale for more in (1.0, 1.1)]
    assert scales[0] == pytest.approx(2.0, rel=0.05)
    assert scales[0] / scales[1] == pytest.approx(1.1, abs=0.015)


def test_a_networks_poses_become_a_motion_in_the_world(case):
    one = case("dolly", 1.2)
    gt, view = one.gt, one.scene.view
    rng = np.random.default_rng(1)
    count = len(gt.poses)
    common = State(rot.exp(gt.poses), np.tile(gt.betas, (count, 1)), gt.trans)
    root = gt.joints[:, 0] - gt.trans
    position = view.points(gt.joints[:, :1])[:, 0]
    given = State(common.rotations.copy(), common.betas, position - root)
    given.rotations[:, 0] = view.rotation @ given.rotations[:, 0]
    given = State(given.rotations @ rot.exp(0.03 * rng.standard_normal((count, 24, 3))), given.betas, given.trans)
    motion, world = recover(one, 2.0, per_frame=[given], network_poses=True)
    assert world.scale == pytest.approx(2.0, rel=0.03)
    assert root_error(motion, gt) < 0.1
    assert mpjpe(motion.joints, gt.joints) < 40


def test_larger_bodies_farther_away_project_to_the_same_pixels(case):
    one = case("dolly", 1.2)
    state = one.per_frame()
    larger = resize_bodies(one.skeleton, state, 1.1)
    heights = [one.skeleton.height + s.betas @ one.skeleton.height_directions for s in (larger, state)]
    np.testing.assert_allclose(heights[0], 1.1 * heights[1])
    points = [one.skeleton.forward(s)[2] for s in (larger, state)]
    flat = [p[..., :2] / p[..., 2:] * one.scene.camera.fx for p in points]
    assert np.linalg.norm(flat[0] - flat[1], axis=-1).max() < 0.05 * np.ptp(flat[1][..., 1], axis=1).max()


@pytest.mark.parametrize("moving", [False, True])
def test_derivatives_are_those_of_the_residuals(case, moving):
    one = case("dolly", 1.2)
    rows = np.arange(3)
    view = one.scene.view[rows] if moving else None
    observed = observe(one.track.keypoints2d[rows], one.track.keypoints3d[rows], one.scene.camera, view=view)
    problem = Problem(one.skeleton, observed)
    state = initial_state(one.skeleton, one.track.keypoints3d[rows], observed)
    weights = Weights(4.5, 0.6, np.ones_like(observed.seen))
    _, jacobian = problem.residuals(state, weights)
    step = np.random.default_rng(0).standard_normal((3, one.skeleton.size)) * 1e-6
    ahead, back = (problem.residuals(state.updated(s), weights, derive=False)[0] for s in (step, -step))
    np.testing.assert_allclose((ahead - back) / 2, (jacobian @ step[..., None])[..., 0], atol=2e-9, rtol=1e-3)


def test_the_scale_is_robust_to_feet_in_the_air_and_none_without_feet():
    rng = np.random.default_rng(0)
    camera = rng.uniform(2, 4, 200)  # of a scene with 2 units per metre
    below = camera[:, None] / 2 + 0.01 * rng.standard_normal((200, 4))
    below[:, :2] -= rng.uniform(0, 0.4, (200, 2))  # one foot swings
    below[60:110] -= 0.3  # a jump
    assert estimate_scale([FootHeights(below, camera)]) == pytest.approx(2.0, rel=0.02)
    assert estimate_scale([]) is None
    assert estimate_scale([FootHeights(below, -camera)]) is None  # the camera is under the ground
    assert estimate_scale([FootHeights(-below, camera)]) is None  # the feet are above the camera
