"""Foot lock: residuals that hold feet in contact in place and above the floor, for the last pass over a track."""

from __future__ import annotations

import numpy as np

from backend.body.kinematics import Skeleton, State
from backend.body.landmarks import INDEX
from backend.motion.contacts import intervals
from backend.structures import World

POINTS = tuple(INDEX[name] for name in ("left_heel", "left_toe", "right_heel", "right_toe"))
# Weight per metre of a point in contact from its target.  150 at first; raised on the rendered clips of
# docs/results.md for less foot slide, which cost reprojection on the real clip there (0.75 -> 1.1 % of the height).
_LOCK = 400.0
# Unchanged since the first version, origin not recorded
_FLOOR = 100.0  # weight per metre below the ground
_MAX_STEP = 0.20  # m; a contact farther from the ground is on a step or a chair, and keeps its height


def sole_heights(skeleton: Skeleton, lowest: float) -> np.ndarray:
    """(P,) heights of the foot points above the sole in the rest pose, m.  lowest: y of the lowest vertex, m."""
    return np.array([skeleton.landmarks.rest[k, 1] - lowest for k in POINTS])


class FootLock:
    """`TrackProblem.extra` of one track: contact points at their median position, no foot point below the ground."""

    def __init__(
        self, skeleton: Skeleton, world: World, soles: np.ndarray, feet: np.ndarray, contacts: np.ndarray
    ) -> None:
        """feet: (T, P, 3) m, current foot points, camera frame.  contacts: (T, P) bool.  soles: see `sole_heights`."""
        self._skeleton, self._world, self._soles = skeleton, world, soles
        positions = world.points(feet)
        self._targets = positions.copy()
        self._held = contacts.copy()
        for p in range(contacts.shape[1]):
            for first, end in intervals(contacts[:, p]):
                middle = np.median(positions[first:end, p], axis=0)
                if abs(middle[2] - soles[p]) < _MAX_STEP:
                    middle[2] = soles[p]
                self._targets[first:end, p] = middle

    def __call__(self, first: int, end: int, state: State, derive: bool) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """Pairs of residuals (T, M) of frames first <= t < end and Jacobian as of `Skeleton.pose_jacobian`, or None."""
        rotations, joints, points = self._skeleton.forward(state)
        positions = self._world.points(points[:, list(POINTS)])
        held = self._held[first:end, :, None] * _LOCK
        lock = (positions - self._targets[first:end]) * held
        under = np.minimum(positions[..., 2] - self._soles, 0.0)
        floor = under * _FLOOR
        if not derive:
            return [(lock.reshape(len(lock), -1), None), (floor, None)]
        point_jacobian = self._skeleton.pose_jacobian(rotations, joints, points)[:, list(POINTS)]
        point_jacobian = self._world.rotation @ point_jacobian  # (T, P, 3, parameters)
        by_lock = point_jacobian * held[..., None]
        by_floor = point_jacobian[:, :, 2] * ((under < 0) * _FLOOR)[..., None]
        return [
            (lock.reshape(len(lock), -1), by_lock.reshape(len(lock), -1, point_jacobian.shape[-1])),
            (floor, by_floor),
        ]
