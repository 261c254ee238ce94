"""Frames, cameras and boxes of the benchmarks, in numpy: the few formulas that every reader shares."""

from __future__ import annotations

import math

import numpy as np


def axis_angle_to_matrix(vector: np.ndarray) -> np.ndarray:
    """(3,) axis-angle -> (3, 3) float64.  Ten times faster than scipy's for one rotation."""
    x, y, z = (float(v) for v in vector)
    angle = math.sqrt(x * x + y * y + z * z)
    a = math.sin(angle) / angle if angle > 1e-8 else 1.0
    half = math.sin(angle / 2) / (angle / 2) if angle > 1e-8 else 1.0
    b = half * half / 2
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + a * cross + b * (cross @ cross)


def matrix_to_axis_angle(matrix: np.ndarray) -> np.ndarray:
    """(3, 3) rotation -> (3,) axis-angle, angle in [0, pi]; through the quaternion's largest component."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = matrix.tolist()
    # each row is (w, x, y, z) times four of one of them
    rows = (
        (1 + xx + yy + zz, zy - yz, xz - zx, yx - xy), (zy - yz, 1 + xx - yy - zz, yx + xy, xz + zx),
        (xz - zx, yx + xy, 1 - xx + yy - zz, zy + yz), (yx - xy, xz + zx, zy + yz, 1 - xx - yy + zz),
    )  # fmt: skip
    w, x, y, z = max((row for row in rows), key=lambda row: sum(v * v for v in row))
    size = math.sqrt(x * x + y * y + z * z)
    if size == 0:
        return np.zeros(3)
    angle = 2 * math.atan2(size, abs(w))
    return np.array([x, y, z]) * (math.copysign(angle, w) / size)


def root_to_camera(pose: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """pose (P,) axis-angle with its root into the world -> the same with its root into the camera frame, float32.

    rotation: (3, 3), world to camera.  (The originals divide by the angle here and give NaN for a root of zeros.)
    """
    rotated = np.array(pose, np.float64)
    rotated[:3] = matrix_to_axis_angle(np.asarray(rotation, np.float64) @ axis_angle_to_matrix(rotated[:3]))
    return rotated.astype(np.float32)


def trans_to_camera(trans: np.ndarray, rotation: np.ndarray, translation: np.ndarray, root: np.ndarray) -> np.ndarray:
    """trans (3,) m of the body in the world -> in the camera frame (3,) float32.

    x_camera = rotation x_world + shift (m).  root: (3,) m, rest place of the root joint, which the root's turn leaves
    where it is: t' = R t + T - J0 + R J0.
    """
    trans, root = np.asarray(trans, np.float64), np.asarray(root, np.float64)
    return (rotation @ trans + translation - root + rotation @ root).astype(np.float32)


def project(points: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """(..., 3) m in the camera frame, camera (4,) fx fy cx cy -> (..., 2) px."""
    points = np.asarray(points, np.float64)
    return points[..., :2] / points[..., 2:] * camera[:2] + camera[2:]


def project_weak(points: np.ndarray, weak_camera: np.ndarray) -> np.ndarray:
    """(..., 3) m, weak_camera (3,) scale tx ty -> (..., 2) px."""
    return np.asarray(points, np.float64)[..., :2] * weak_camera[0] + weak_camera[1:]


def with_column(points: np.ndarray, column: float | np.ndarray = 1.0) -> np.ndarray:
    """(K, C) -> (K, C + 1) float32 with a confidence behind."""
    return np.concatenate([points, np.broadcast_to(np.reshape(column, (-1, 1)), (len(points), 1))], 1, dtype=np.float32)


def tight_box(points: np.ndarray) -> np.ndarray:
    """(K, 2) px -> (4,) x0 y0 x1 y1 around all of them."""
    return np.concatenate([points.min(0), points.max(0)]).astype(np.float32)


def xywh_to_xyxy(xywh: np.ndarray) -> np.ndarray | None:
    """COCO's x y w h -> x0 y0 x1 y1, or None where it is empty: such a row is skipped.

    One pixel smaller than w and h say, as in Moon's and Choi's loaders.
    """
    x, y, w, h = np.asarray(xywh, np.float64)
    if w * h <= 0 or w < 1 or h < 1:
        return None
    return np.array([x, y, x + w - 1, y + h - 1], np.float32)


def square_box(box: np.ndarray, grow: float = 1.2) -> tuple[np.ndarray, float]:
    """(4,) x0 y0 x1 y1 -> centre (2,) px and side px of the square around it.

    METRO's `scale` is 1.2 of the longer side, over 200.
    """
    size = box[2:] - box[:2]
    return (box[:2] + size / 2).astype(np.float32), grow * float(size.max())


def fit_error_3d(gt: np.ndarray, fitted: np.ndarray) -> float:
    """Both (K, 3) in m -> mean distance in mm after moving the means together (Pose2Mesh's Human3.6M and MuCo)."""
    gap = (gt - gt.mean(0)) - (fitted - fitted.mean(0))
    return float(np.linalg.norm(gap, axis=-1).mean() * 1000)


def fit_error_2d(gt: np.ndarray, visible: np.ndarray, fitted: np.ndarray, box_points: np.ndarray) -> float:
    """truth, fitted (K, 2) px, visible (K,) -> mean distance on visible joints in a 64 x 64 crop (Pose2Mesh's COCO).

    box_points: (N, 2) px, what the square box is tight around.
    """
    box = tight_box(box_points)
    side = max(float(box[2] - box[0]), float(box[3] - box[1])) - 1
    if side <= 0 or not visible.any():
        return float("nan")
    return float(np.linalg.norm(gt - fitted, axis=-1)[visible].mean() * 64 / side)
