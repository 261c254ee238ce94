"""A body's translation in the camera frame, from the pixels that its points project onto."""

from __future__ import annotations

import numpy as np

from backend.structures import Camera

_MIN_DEPTH = 0.3  # m: no person is photographed closer
_MAX_DEPTH = 500.0  # m; origin not recorded


def solve_translation(points: np.ndarray, pixels: np.ndarray, weights: np.ndarray, camera: Camera) -> np.ndarray:
    """(3,) m, the translation with which points project onto their pixels, by weighted linear least squares.

    points (K, 3) m, camera axes; pixels (K, 2); weights (K,).  Where the solution is not in front of the camera (an
    implausible body), the depth is the ratio of the points' size to the rays' spread instead.
    """
    focal = np.array([camera.fx, camera.fy])
    rays = (pixels - [camera.cx, camera.cy]) / focal  # (K, 2)
    root = np.sqrt(np.maximum(weights, 0.0))
    # x + tx = u (z + tz): linear in the translation
    rows = np.zeros((len(points), 2, 3))
    rows[:, 0, 0] = rows[:, 1, 1] = 1.0
    rows[:, :, 2] = -rays
    right = rays * points[:, 2:] - points[:, :2]
    if root.sum() > 0:
        system = (rows * root[:, None, None]).reshape(-1, 3)
        shift, *_ = np.linalg.lstsq(system, (right * root[:, None]).ravel(), rcond=None)
        depth = shift[2] + points[:, 2].min()
        if np.isfinite(shift).all() and depth > _MIN_DEPTH and shift[2] < _MAX_DEPTH:
            return shift
    else:
        root = np.ones(len(points))
    spread, size = (_spread(values, root) for values in (rays, points[:, :2]))
    depth = float(np.clip(size / max(spread, 1e-6), 2.0, 50.0))
    share = root / root.sum()
    xy = share @ rays * depth - share @ points[:, :2]
    return np.array([*xy, depth - points[:, 2].min() + _MIN_DEPTH])


def _spread(values: np.ndarray, weights: np.ndarray) -> float:
    """Weighted standard deviation over both axes.  values (K, 2), weights (K,)."""
    share = (weights / weights.sum())[:, None]
    mean = (share * values).sum(0)
    return float(np.sqrt((share * (values - mean) ** 2).sum()))


def rotation_to_ray(pixel: np.ndarray, camera: Camera) -> np.ndarray:
    """(3, 3) the smallest rotation from the optical axis to the ray through a pixel (2,).

    A network predicts rotations as if the camera pointed at the crop's centre; this one leads to the photo's camera.
    """
    ray = np.array([(pixel[0] - camera.cx) / camera.fx, (pixel[1] - camera.cy) / camera.fy, 1.0])
    ray /= np.linalg.norm(ray)
    axis = np.cross([0.0, 0.0, 1.0], ray)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1 + ray[2])
