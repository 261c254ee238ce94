"""Rotations into the camera frame, boxes, and fit errors."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from training.datasets import geometry as g


def test_rotations_equal_scipys_at_all_angles():
    draw = np.random.RandomState(0)
    axes = draw.randn(400, 3)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    axes[:6] = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1]]
    near = [np.pi - 10.0 ** -draw.uniform(1, 9, 50), 10.0 ** -draw.uniform(1, 12, 50)]
    angles = np.concatenate([draw.uniform(0, np.pi, 300), *near])
    for vector in axes * draw.permutation(angles)[:, None]:
        matrix = Rotation.from_rotvec(vector).as_matrix()
        np.testing.assert_allclose(g.axis_angle_to_matrix(vector), matrix, atol=1e-14)
        np.testing.assert_allclose(g.axis_angle_to_matrix(g.matrix_to_axis_angle(matrix)), matrix, atol=1e-14)
        np.testing.assert_allclose(g.matrix_to_axis_angle(matrix), vector, atol=1e-6)
    assert (g.matrix_to_axis_angle(np.eye(3)) == 0).all() and (g.axis_angle_to_matrix(np.zeros(3)) == np.eye(3)).all()


def test_a_root_rotation_of_zeros_is_rotated():
    """The originals divide by its angle, which gives NaN."""
    rotation = Rotation.from_euler("xyz", [0.3, -2.0, 1.0]).as_matrix()
    pose = g.root_to_camera(np.zeros(72), rotation)
    np.testing.assert_allclose(Rotation.from_rotvec(pose[:3]).as_matrix(), rotation, atol=1e-6)
    assert (pose[3:] == 0).all() and pose.dtype == np.float32


def test_boxes_equal_the_originals():
    assert g.xywh_to_xyxy([10, 20, 31, 41]).tolist() == [10, 20, 40, 60]
    assert g.xywh_to_xyxy([10, 20, 0, 41]) is None and g.xywh_to_xyxy([0, 0, 5, 0.5]) is None
    center, side = g.square_box(np.array([10.0, 20, 40, 60]))
    assert center.tolist() == [25, 40] and side == pytest.approx(48)


def test_fit_errors():
    draw = np.random.RandomState(1)
    joints = draw.randn(17, 3)
    assert g.fit_error_3d(joints, joints + [0.3, 0, -1]) == pytest.approx(0, abs=1e-9)  # means are aligned
    moved = joints.copy()
    moved[0] += [0.017, 0, 0]
    assert g.fit_error_3d(joints, moved) == pytest.approx(1 * 16 / 17 + 16 / 17, rel=1e-6)  # mm
    points = np.array([[0.0, 0], [65, 33]])
    visible = np.array([True, False])
    assert g.fit_error_2d(points, visible, points + [3, 4], points) == pytest.approx(5.0)  # a box of 64 px
    assert np.isnan(g.fit_error_2d(points, visible & False, points, points))
