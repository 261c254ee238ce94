"""Axis-angle and rotation matrices in numpy float64, batched, with the derivative of the logarithm, for the solvers."""

from __future__ import annotations

import numpy as np


def skew(vector: np.ndarray) -> np.ndarray:
    """(..., 3) -> (..., 3, 3), the matrix of the cross product with `vector`."""
    out = np.zeros((*vector.shape, 3))
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        out[..., b, a], out[..., a, b] = vector[..., c], -vector[..., c]
    return out


def _skew_squared(vector: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """skew(v) @ skew(v) = v v^T - |v|^2 I.  angle: (..., 1, 1), |v|."""
    return vector[..., :, None] * vector[..., None, :] - angle**2 * np.eye(3)


def exp(vector: np.ndarray) -> np.ndarray:
    """Axis-angle (..., 3) rad -> rotations (..., 3, 3), by Rodrigues' formula."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    half = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.eye(3) + np.sinc(angle / np.pi) * skew(vector) + half * _skew_squared(vector, angle)


def log(rotation: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) -> axis-angle (..., 3) rad, angle in [0, pi]."""
    m = rotation
    real = 1 + m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]  # 4 cos^2 of half the angle
    large = real < 0.5
    if large.any():
        out = np.empty(m.shape[:-1])
        out[~large], out[large] = log(m[~large]), _log_of_large(m[large])
        return out
    vector = np.empty(m.shape[:-1])
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        vector[..., c] = m[..., b, a] - m[..., a, b]
    sine = np.linalg.norm(vector, axis=-1)
    # vector / real is the axis times the tangent of half the angle
    scale = np.where(sine < 1e-9, 0.5, 2 * np.arctan2(sine, real) / np.maximum(sine, 1e-9))
    return vector * scale[..., None]


def _log_of_large(m: np.ndarray) -> np.ndarray:
    """`log` by the quaternion's largest component, exact at angle pi too; see `rotations.axis_angle_from_matrix`."""
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    rows = np.stack(
        [
            np.stack([1 + xx + yy + zz, a, b, c], -1),
            np.stack([a, 1 + xx - yy - zz, d, e], -1),
            np.stack([b, d, 1 - xx + yy - zz, f], -1),
            np.stack([c, e, f, 1 - xx - yy + zz], -1),
        ],
        -2,
    )
    best = np.diagonal(rows, axis1=-2, axis2=-1).argmax(-1)[..., None, None]
    q = np.take_along_axis(rows, best, -2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., :1])
    return q[..., 1:] * np.where(sine < 1e-9, 2.0, angle / np.maximum(sine, 1e-9))


def minimal_rotations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(B, 3, 3) the smallest rotations from a (3,) to b (B, 3), unit vectors, not opposite."""
    cross = skew(np.cross(a, b))
    return np.eye(3) + cross + cross @ cross / np.maximum(1 + b @ a, 1e-6)[:, None, None]


def inverse_right_jacobian(vector: np.ndarray) -> np.ndarray:
    """(..., 3) -> (..., 3, 3): d log(exp(vector) exp(d)) / d d at d = 0 (Sola et al. 2018, eq. 144)."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    safe = np.clip(angle, 1e-3, np.pi - 1e-6)
    curve = 1 / safe**2 - (1 + np.cos(safe)) / (2 * safe * np.sin(safe))
    curve = np.where(angle < 1e-3, 1 / 12, curve)
    return np.eye(3) + 0.5 * skew(vector) + curve * _skew_squared(vector, angle)
