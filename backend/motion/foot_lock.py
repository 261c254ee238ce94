"""Feet that stand do not slide, and nobody is below the floor: residuals for a last pass over the track."""

from __future__ import annotations

import numpy as np

from backend.body.kinematics import Skeleton, State
from backend.body.landmarks import INDEX
from backend.motion.contacts import intervals
from backend.structures import World

POINTS = tuple(INDEX[name] for name in ("left_heel", "left_toe", "right_heel", "right_toe"))
_LOCK = 400.0  # per metre that a standing point is away from its place
_FLOOR = 100.0  # per metre below the ground
_NOT_THE_GROUND = 0.20  # m: who stands this far above stands on something, and is left there


def sole_heights(skeleton: Skeleton, lowest: float) -> np.ndarray:
    """(P,) heights of the foot points over the sole, in the unposed body.  lowest: y of its lowest vertex, m."""
    return np.array([skeleton.landmarks.rest[k, 1] - lowest for k in POINTS])


class FootLock:
    """Extra residuals for `TrackProblem`."""

    def __init__(
        self, skeleton: Skeleton, world: World, soles: np.ndarray, feet: np.ndarray, contacts: np.ndarray
    ) -> None:
        """feet: (T, P, 3) foot points as they are, camera frame.  contacts: (T, P).  soles: see `sole_heights`."""
        self._skeleton, self._world, self._soles = skeleton, world, soles
        positions = world.points(feet)
        self._targets = positions.copy()
        self._held = contacts.copy()
        for p in range(contacts.shape[1]):
            for first, end in intervals(contacts[:, p]):
                middle = np.median(positions[first:end, p], axis=0)
                if abs(middle[2] - soles[p]) < _NOT_THE_GROUND:
                    middle[2] = soles[p]
                self._targets[first:end, p] = middle

    def __call__(self, first: int, end: int, state: State, derive: bool) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """Residuals of frames first <= t < end, and their derivatives as `Skeleton.pose_jacobian`'s."""
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
