"""Parts of the motion pipeline: banded solver, smoothness, ground, contacts, metrics."""

import numpy as np
import pytest

from backend.body.procrustes import pa_mpjpe
from backend.geometry import rotations_numpy as rot
from backend.motion.banded_solver import solve_banded
from backend.motion.contacts import find_contacts, intervals
from backend.motion.ground import find_ground, world_of_plane
from backend.motion.metrics import acceleration_peak_ratio, foot_slide, jitter, mpjpe, penetration
from backend.motion.smoothness import Smoothness, smoothness_weights


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_the_banded_system_is_the_dense_one(count):
    rng = np.random.default_rng(count)
    size = 5
    half = rng.standard_normal((count, size, size))
    blocks = half @ np.swapaxes(half, 1, 2) + np.eye(size)
    gradient, acceleration_weights = rng.standard_normal((count, size)), rng.random((max(count - 2, 0), size))
    dense = np.zeros((count * size, count * size))
    for t in range(count):
        dense[t * size : (t + 1) * size, t * size : (t + 1) * size] = blocks[t]
    for t in range(count - 2):
        for d in range(size):
            row = np.zeros(count * size)
            row[[t * size + d, (t + 1) * size + d, (t + 2) * size + d]] = 1, -2, 1
            dense += acceleration_weights[t, d] * np.outer(row, row)
    expected = np.linalg.solve(dense, gradient.ravel()).reshape(count, size)
    np.testing.assert_allclose(solve_banded(blocks, gradient, acceleration_weights), expected, rtol=1e-9, atol=1e-12)


def test_smoothness_weights_yield_to_fast_motion_not_to_spikes():
    smooth = Smoothness.of(0.5, 30)
    found = np.full((9, 6), 1e-4)
    calm = smoothness_weights(found, smooth)
    found[4, :3] = 2 * smooth.fast_rotation
    np.testing.assert_allclose(smoothness_weights(found, smooth), calm)
    found[3:6, :3] = 2 * smooth.fast_rotation
    assert (smoothness_weights(found, smooth)[4, :3] < 0.1 * calm[4, :3]).all()


@pytest.mark.parametrize(("a", "b", "c"), [(0.0, 0.0, 1.5), (0.05, -0.1, 1.2), (-0.03, -0.35, 2.5)])
def test_the_world_of_a_plane(a, b, c):
    world = world_of_plane(a, b, c)
    np.testing.assert_allclose(world.rotation @ world.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(world.rotation) > 0
    rng = np.random.default_rng(0)
    x, z = rng.uniform(-3, 3, 50), rng.uniform(2, 8, 50)
    ground = np.stack([x, a * x + b * z + c, z], 1)
    np.testing.assert_allclose(world.points(ground)[:, 2], 0, atol=1e-12)
    assert world.points(ground[:1] - [0, 0.5, 0])[0, 2] > 0.4  # y points down: less is higher
    assert world.translation[2] > 0
    assert abs((world.rotation @ [0, 0, 1])[0]) < 1e-12  # the camera looks along +y


def test_the_ground_is_found_under_people_who_walk_into_the_depth():
    rng = np.random.default_rng(0)
    gt_world = world_of_plane(0.0, -0.2, 2.0)
    people = []
    for side in (-1.0, 1.0):
        z = np.linspace(3, 9, 90)
        feet = np.stack(
            [np.full((90, 4), side), 2.0 - 0.2 * np.repeat(z[:, None], 4, 1), np.repeat(z[:, None], 4, 1)], -1
        )
        feet[:, 2:, 1] -= 0.12 * (np.sin(np.arange(90) / 5)[:, None] ** 2)  # one foot is lifted
        people.append(feet + 0.015 * rng.standard_normal(feet.shape))
    world = find_ground(people, np.zeros(4), fps=5.0)  # slow: at 30 fps nobody would stand
    tilt = np.degrees(np.arccos(world.rotation[2] @ gt_world.rotation[2]))
    assert tilt < 2.5
    assert abs(world.translation[2] - gt_world.translation[2]) < 0.15


def test_without_feet_the_camera_is_level():
    world = find_ground([], np.zeros(4), 30)
    np.testing.assert_allclose(world.rotation[2], [0, -1, 0], atol=1e-12)


def test_contacts_of_a_stepping_foot():
    count, fps = 90, 30
    time = np.arange(count) / fps
    points = np.zeros((count, 4, 3))
    moving = (time % 1.0) > 0.6
    points[:, 2:, 1] = np.cumsum(moving * 1.5 / fps)[:, None]
    points[:, 2:, 2] = (0.12 * np.sin(np.pi * np.clip((time % 1.0 - 0.6) / 0.4, 0, 1)))[:, None]
    contacts = find_contacts(points, fps)
    assert contacts[:, :2].all()
    assert (contacts[:, 2] == ~moving).mean() > 0.9
    assert not find_contacts(points, fps, "never").any()
    assert find_contacts(points, fps, "always").any(1).all()


def test_intervals():
    assert intervals(np.array([1, 1, 0, 1, 0, 0, 1], bool)) == [(0, 2), (3, 4), (6, 7)]
    assert intervals(np.zeros(3, bool)) == []


def test_metrics_and_their_units():
    fps = 30.0
    time = np.arange(20) / fps
    joints = np.zeros((20, 2, 3))
    joints[:, :, 0] = (time**3)[:, None]
    assert jitter(joints, fps) == pytest.approx(6.0, rel=1e-6)
    shifted = joints + [0, 0, 1.0]
    assert mpjpe(shifted, joints) == pytest.approx(0.0, abs=1e-9)
    shifted[:, 1, 1] += 0.1
    assert mpjpe(shifted, joints) == pytest.approx(50.0)
    rng = np.random.default_rng(0)
    body = rng.standard_normal((3, 24, 3))
    similar = 1.7 * body @ rot.exp(np.array([0.3, -1.0, 2.0])).T + [1.0, 2.0, 3.0]
    assert pa_mpjpe(similar, body) == pytest.approx(0.0, abs=1e-6)
    feet = np.zeros((4, 2, 1, 3))
    feet[:, 0, 0, 0] = [0, 0.01, 0.02, 0.03]
    contacts = np.array([[True, True]] * 4)
    assert foot_slide(feet, contacts) == pytest.approx(5.0)
    assert penetration(np.array([[[0, 0, -0.02], [0, 0, 1.0]], [[0, 0, 0.1], [0, 0, 1.0]]])) == pytest.approx(10.0)
    fast = np.zeros((50, 1, 3))
    fast[:, 0, 0] = np.exp(-((np.arange(50) - 25.0) ** 2) / 4)
    assert acceleration_peak_ratio(0.5 * fast, fast) == pytest.approx(0.5)
