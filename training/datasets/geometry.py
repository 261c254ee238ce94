"""Frames, cameras and boxes of the benchmarks, in numpy, shared by the data sets."""

from __future__ import annotations

import math

import numpy as np


def axis_angle_to_matrix(vector: np.ndarray) -> np.ndarray:
    """Rotation matrix (3, 3) float64 of axis-angle (3,).  Ten times faster than scipy's for one rotation."""
    x, y, z = (float(v) for v in vector)
    angle = math.sqrt(x * x + y * y + z * z)
    a = math.sin(angle) / angle if angle > 1e-8 else 1.0
    half = math.sin(angle / 2) / (angle / 2) if angle > 1e-8 else 1.0
    b = half * half / 2
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + a * cross + b * (cross @ cross)


def matrix_to_axis_angle(matrix: np.ndarray) -> np.ndarray:
    """Axis-angle (3,), angle in [0, pi], of a rotation matrix (3, 3), by the quaternion's largest component."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = matrix.tolist()
    # row k is the quaternion (w, x, y, z) times 4 x its k-th component
    rows = (
        (1 + xx + yy + zz, zy - yz, xz - zx, yx - xy), (zy - yz, 1 + xx - yy - zz, yx + xy, xz + zx),
        (xz - zx, yx + xy, 1 - xx + yy - zz, zy + yz), (yx - xy, xz + zx, zy + yz, 1 - xx - yy + zz),
    )  # fmt: skip
    w, x, y, z = max(rows, key=lambda row: sum(v * v for v in row))
    size = math.sqrt(x * x + y * y + z * z)
    if size == 0:
        return np.zeros(3)
    angle = 2 * math.atan2(size, abs(w))
    return np.array([x, y, z]) * (math.copysign(angle, w) / size)


def root_to_camera(pose: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Pose (P,) axis-angle, float32, whose root rotates into the camera frame instead of the world.

    rotation: (3, 3), world to camera.  (The originals divide by the angle, and give NaN for a root of zeros.)
    """
    rotated = np.array(pose, np.float64)
    rotated[:3] = matrix_to_axis_angle(np.asarray(rotation, np.float64) @ axis_angle_to_matrix(rotated[:3]))
    return rotated.astype(np.float32)


def trans_to_camera(trans: np.ndarray, rotation: np.ndarray, translation: np.ndarray, root: np.ndarray) -> np.ndarray:
    """The body's trans (3,) float32 m in the camera frame, from that in the world.

    x_camera = rotation x_world + translation (m).  root: (3,) m, rest position J0 of the root joint, about which the
    root rotation turns the body: t' = R t + T - J0 + R J0.
    """
    trans, root = np.asarray(trans, np.float64), np.asarray(root, np.float64)
    return (rotation @ trans + translation - root + rotation @ root).astype(np.float32)


def project(points: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Points (..., 3) m in the camera frame -> (..., 2) px, by camera (4,) fx fy cx cy px."""
    points = np.asarray(points, np.float64)
    return points[..., :2] / points[..., 2:] * camera[:2] + camera[2:]


def project_weak(points: np.ndarray, weak_camera: np.ndarray) -> np.ndarray:
    """Points (..., 3) m -> (..., 2) px, by weak_camera (3,) scale px/m, tx px, ty px."""
    return np.asarray(points, np.float64)[..., :2] * weak_camera[0] + weak_camera[1:]


def with_column(points: np.ndarray) -> np.ndarray:
    """Points (K, C) as (K, C + 1) float32, with the confidence 1 as the last column."""
    return np.concatenate([points, np.ones((len(points), 1))], 1, dtype=np.float32)


def tight_box(points: np.ndarray) -> np.ndarray:
    """The tight box (4,) float32 x0 y0 x1 y1 of points (K, 2) px."""
    return np.concatenate([points.min(0), points.max(0)]).astype(np.float32)


def xywh_to_xyxy(xywh: np.ndarray) -> np.ndarray | None:
    """The box x0 y0 x1 y1 (4,) float32 of COCO's x y w h; None for an empty one, whose row is skipped.

    One pixel smaller than w and h, as in Moon's and Choi's loaders.
    """
    x, y, w, h = np.asarray(xywh, np.float64)
    if w * h <= 0 or w < 1 or h < 1:
        return None
    return np.array([x, y, x + w - 1, y + h - 1], np.float32)


def square_box(box: np.ndarray, grow: float = 1.2) -> tuple[np.ndarray, float]:
    """Centre (2,) px and side px of the square around a box (4,) x0 y0 x1 y1.

    METRO's `scale` is 1.2 x the longer side / 200.
    """
    size = box[2:] - box[:2]
    return (box[:2] + size / 2).astype(np.float32), grow * float(size.max())


def fit_error_3d(gt: np.ndarray, fitted: np.ndarray) -> float:
    """Mean distance, mm, of joints (K, 3) m after aligning their means (Pose2Mesh's Human3.6M and MuCo)."""
    gap = (gt - gt.mean(0)) - (fitted - fitted.mean(0))
    return float(np.linalg.norm(gap, axis=-1).mean() * 1000)


def fit_error_2d(gt: np.ndarray, visible: np.ndarray, fitted: np.ndarray, box_points: np.ndarray) -> float:
    """Mean distance of the visible joints (K, 2), px of a 64 x 64 crop (Pose2Mesh's COCO); NaN without any.

    visible: (K,).  box_points: (N, 2) px, which the crop's square is tight around.
    """
    box = tight_box(box_points)
    side = max(float(box[2] - box[0]), float(box[3] - box[1])) - 1
    if side <= 0 or not visible.any():
        return float("nan")
    return float(np.linalg.norm(gt - fitted, axis=-1)[visible].mean() * 64 / side)
