"""Up direction from people who walk; normal matrix and Jacobian of a pose problem agree; contacts of fast feet."""

import numpy as np
import pytest

from backend.body.keypoint_fit.observations import ray_rotations
from backend.body.keypoint_fit.problem import Weights
from backend.motion.contacts import find_contacts
from backend.motion.track_problem import TrackProblem
from backend.motion.track_start import start_state
from backend.motion.up_direction import estimate_ground_slopes
from backend.structures import Camera


def tilt(up, world):
    return np.degrees(np.arccos(np.clip(up @ world.rotation[2], -1, 1)))


@pytest.mark.parametrize("name", ["walk", "turn"])
def test_the_pitch_of_a_camera_that_looks_down(case, name):
    one = case(name, 2.0)
    slopes = estimate_ground_slopes([one.track], one.scene.camera)
    assert tilt(slopes.up, one.scene.world) < 3.5
    assert tilt(slopes.up, one.scene.world) < 0.7 * tilt(np.array([0.0, -1, 0]), one.scene.world)


def test_without_people_up_is_level():
    camera = Camera(900.0, 900.0, 479.5, 269.5, 960, 540)
    np.testing.assert_allclose(estimate_ground_slopes([], camera).up, [0, -1, 0])


def test_keypoints_are_rotated_with_the_ray():
    camera = Camera(1000.0, 1000.0, 499.5, 499.5, 1000, 1000)
    rotations = ray_rotations(np.array([[499.5, 499.5], [999.0, 499.5]]), camera)
    np.testing.assert_allclose(rotations[0], np.eye(3), atol=1e-12)
    ahead = rotations[1] @ [0, 0, 1]
    np.testing.assert_allclose(ahead[0] / ahead[2], 0.4995, atol=1e-9)
    assert np.linalg.det(rotations[1]) == pytest.approx(1)


def test_the_short_normal_matrix_is_the_jacobians(case):
    one = case("walk", 1.2)
    up = np.array([0.0, -0.96, 0.28])
    problem = TrackProblem(one.skeleton, one.track, one.scene.camera, None, up).problem(0, 8)
    part = start_state(one.skeleton, one.track, one.scene.camera)[:8]
    weights = Weights(4.5, 0.6, np.ones_like(problem.observed.seen))
    blocks, descent, cost = problem.pose_normal(part, weights)
    values, jacobian = problem.residuals(part, weights)
    active = one.skeleton.active
    columns = np.r_[(3 * active[:, None] + np.arange(3)).ravel(), one.skeleton.size - 3 : one.skeleton.size]
    jacobian = jacobian[:, :, columns]
    np.testing.assert_allclose(blocks, np.swapaxes(jacobian, 1, 2) @ jacobian, atol=1e-8)
    np.testing.assert_allclose(descent, -np.einsum("tmd,tm->td", jacobian, values), atol=1e-8)
    np.testing.assert_allclose(cost, (values**2).sum(1), atol=1e-9)


def test_contacts_of_fast_feet():
    fps, count = 30.0, 60
    time = np.arange(count) / fps
    points = np.zeros((count, 4, 3))
    stands = np.zeros((count, 2), bool)
    for side in (0, 1):
        phase = time / 0.7 + 0.5 * side
        part = phase - np.floor(phase)
        stands[:, side] = part < 0.36
        swing = np.clip((part - 0.36) / 0.64, 0, 1)
        smooth = swing**2 * (3 - 2 * swing)
        at = slice(2 * side, 2 * side + 2)
        points[:, at, 0] = (1.9 * (np.floor(phase) + smooth))[:, None]  # 2.7 m/s
        # smeared as by smoothing: in contact it creeps at half a metre per second
        points[:, at, 0] += (0.5 * time * stands[:, side])[:, None]
        points[:, at, 2] = (0.2 * np.sin(np.pi * swing))[:, None]
    found = find_contacts(points, fps).reshape(count, 2, 2).any(-1)
    assert (found & stands).sum() > 0.7 * stands.sum()
    assert (found & stands).sum() > 0.6 * found.sum()
