"""The ground under everybody's feet, seen from a fixed camera: one metric world, z up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.motion.up_direction import GroundSlopes
from backend.structures import World

_LEVEL = np.tan(np.deg2rad(6))  # cameras are held about this level
_NOISE = 0.04  # m, of a foot's height
_ABOVE = 0.05  # m above the ground from which on a foot counts little: it does not stand
_MAX_EFFECTIVE_FRAMES = 12  # frames that count for themselves: neighbours repeat each other
_STILL = 0.5  # m/s
_ROUNDS = 12


def find_ground(
    feet: Sequence[np.ndarray], soles: np.ndarray, fps: float, slope_prior: GroundSlopes | None = None
) -> World:
    """feet: per person (T, P, 3) points of the feet, camera frame (y down), m.  soles: (P,) heights above the sole.
    slope_prior: what is known of the slopes before; None: that cameras are mostly level.

    The plane y = a x + b z + c through the lower, slower feet; without any the camera is at eye height.
    """
    if slope_prior is None:
        slope_prior = GroundSlopes(np.zeros(2), np.eye(2) / _LEVEL**2)
    points, weight = [], []
    for one in feet:
        velocity = np.gradient(one, axis=0) if len(one) > 1 else np.zeros_like(one)
        speed = np.linalg.norm(velocity, axis=-1) * fps
        lowered = one.copy()
        lowered[..., 1] += soles
        # of the feet of one frame the lower ones stand
        lowest = lowered[..., 1].max(1, keepdims=True)
        points.append(lowered.reshape(-1, 3))
        weight.append((1 / (1 + (speed / _STILL) ** 2) * np.exp(-(lowest - lowered[..., 1]) / 0.04)).ravel())
    if not points or not sum(len(p) for p in points):
        return world_of_plane(float(slope_prior.mean[0]), float(slope_prior.mean[1]), 1.6)
    p, w = np.concatenate(points), np.concatenate(weight)
    w = w * min(1.0, _MAX_EFFECTIVE_FRAMES / w.sum())
    matrix = np.stack([p[:, 0], p[:, 2], np.ones(len(p))], 1)
    prior = np.diag([0.0, 0.0, 1e-9])
    prior[:2, :2] = _NOISE**2 * slope_prior.information
    information_vector = prior @ [*slope_prior.mean, 0.0]
    trust = np.ones(len(p))
    plane = np.zeros(3)
    for _ in range(_ROUNDS):
        weighted = matrix * (w * trust)[:, None]
        plane = np.linalg.solve(weighted.T @ matrix + prior, weighted.T @ p[:, 1] + information_vector)
        height = matrix @ plane - p[:, 1]  # m above the plane
        trust = 1 / (1 + np.where(height > 0, height / _ABOVE, height / (2 * _ABOVE)) ** 2) ** 2
    return world_of_plane(*plane)


def world_of_plane(a: float, b: float, c: float) -> World:
    """The world whose ground is y = a x + b z + c in the camera's frame."""
    normal = np.array([a, -1.0, b])
    length = np.linalg.norm(normal)
    up = normal / length
    forward = np.array([0.0, 0.0, 1.0]) - up * up[2]
    forward /= np.linalg.norm(forward)
    return World(np.stack([np.cross(forward, up), forward, up]), np.array([0.0, 0.0, c / length]))
