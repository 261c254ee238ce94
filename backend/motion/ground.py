"""Ground plane from the feet of all people before a fixed camera, and the world that it defines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.motion.up_direction import GroundSlopes
from backend.structures import World

# Reduced (from 8 degrees and 60 frames) on the rendered clips of docs/results.md, none held out
_LEVEL = np.tan(np.deg2rad(6))  # standard deviation of a camera's slopes about level, without a `slope_prior`
_MAX_EFFECTIVE_FRAMES = 12  # cap on the sum of weights: errors of neighbouring frames are correlated
# Unchanged since the first version, origin not recorded
_NOISE = 0.04  # m, standard deviation of a foot's height; scales the prior
_ABOVE = 0.05  # m above the plane at which the robust weight is 1/4: the foot is in the air
_BESIDE = 0.04  # m above the lowest foot of its frame at which a foot's weight is 1/e
_STILL = 0.5  # m/s at which a foot's weight is halved
_EYE_HEIGHT = 1.6  # m, of the camera where no feet are known
_ROUNDS = 12


def find_ground(
    feet: Sequence[np.ndarray], soles: np.ndarray, fps: float, slope_prior: GroundSlopes | None = None
) -> World:
    """World on the plane y = a x + b z + c through the lower, slower feet, by reweighted least squares.

    feet: per person (T, P, 3) foot points, m, camera frame (y down).  soles: (P,) heights above the sole, m.
    slope_prior: None: cameras are near level.  Without feet the camera is at eye height.
    """
    if slope_prior is None:
        slope_prior = GroundSlopes(np.zeros(2), np.eye(2) / _LEVEL**2)
    points, weight = [], []
    for one in feet:
        velocity = np.gradient(one, axis=0) if len(one) > 1 else np.zeros_like(one)
        speed = np.linalg.norm(velocity, axis=-1) * fps
        lowered = one.copy()
        lowered[..., 1] += soles
        lowest = lowered[..., 1].max(1, keepdims=True)
        points.append(lowered.reshape(-1, 3))
        weight.append((1 / (1 + (speed / _STILL) ** 2) * np.exp(-(lowest - lowered[..., 1]) / _BESIDE)).ravel())
    if not points or not sum(len(p) for p in points):
        return world_of_plane(float(slope_prior.mean[0]), float(slope_prior.mean[1]), _EYE_HEIGHT)
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
        # above the plane a foot may be in the air, below it there are only errors
        trust = 1 / (1 + np.where(height > 0, height / _ABOVE, height / (2 * _ABOVE)) ** 2) ** 2
    return world_of_plane(*plane)


def world_of_plane(a: float, b: float, c: float) -> World:
    """World whose ground is y = a x + b z + c in the camera frame, m."""
    normal = np.array([a, -1.0, b])
    length = np.linalg.norm(normal)
    up = normal / length
    forward = np.array([0.0, 0.0, 1.0]) - up * up[2]
    forward /= np.linalg.norm(forward)
    return World(np.stack([np.cross(forward, up), forward, up]), np.array([0.0, 0.0, c / length]))
