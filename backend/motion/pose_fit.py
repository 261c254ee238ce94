"""Poses that a network gave frame by frame, made one motion: the same ties over time, the poses as observations."""

from __future__ import annotations

import numpy as np

from backend.body.keypoint_fit import rotations as rot
from backend.body.keypoint_fit.kinematics import Skeleton, State
from backend.clips.records import Track
from backend.motion.track_fit import TrackProblem, start_state
from backend.results import Camera

_TURN = 5.0  # per rad: about as firmly as keypoints hold a joint
_MOVE = (20.0, 20.0, 4.0)  # per metre: depth is known worst


class PoseProblem(TrackProblem):
    """Like `TrackProblem`, but what is observed are rotations and places."""

    def __init__(
        self, skeleton: Skeleton, track: Track, camera: Camera, given: State, hidden: np.ndarray | None = None
    ) -> None:
        """given: the network's answers for the rows that were seen, in order."""
        super().__init__(skeleton, track, camera, hidden)
        self.given = start_state(skeleton, track, camera, given)
        self._weight = track.seen * 1.0
        self.joints = np.arange(len(skeleton.parents))  # poses say how every joint is turned

    def _residuals(self, state: State, first: int, end: int) -> np.ndarray:
        """(T, 3 J + 3)"""
        given = State(
            self.given.rotations[first:end], self.given.betas[first:end], self.given.trans[first:end]
        )
        turned = rot.log(np.swapaxes(given.rotations, -1, -2) @ state.rotations) * _TURN
        moved = (state.trans - given.trans) * np.array(_MOVE)
        both = np.concatenate([turned.reshape(len(turned), -1), moved], 1)
        return both * self._weight[first:end, None]

    def normal(
        self, state: State, trust: np.ndarray, offset: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `TrackProblem.normal`."""
        count = len(state.trans)
        turns = 3 * len(self.skeleton.parents)
        values = self._residuals(state, offset, offset + count)
        slope = np.concatenate([np.full(turns, _TURN), _MOVE]) * self._weight[offset : offset + count, None]
        blocks = np.zeros((count, turns + 3, turns + 3))
        diagonal = np.arange(turns + 3)
        blocks[:, diagonal, diagonal] = slope**2
        descent, cost = -slope * values, (values**2).sum(1)
        if self.extra is not None:
            active = self.skeleton.active  # of which the extra residuals speak
            columns = np.r_[(3 * active[:, None] + np.arange(3)).ravel(), turns : turns + 3]
            for v, j in self.extra(offset, offset + count, state, True):
                assert j is not None
                transposed = np.swapaxes(j, 1, 2)
                blocks[:, columns[:, None], columns] += transposed @ j
                descent[:, columns] -= (transposed @ v[..., None])[..., 0]
                cost += (v**2).sum(1)
        return blocks, descent, cost

    def cost(self, state: State, trust: np.ndarray, offset: int) -> float:
        """See `TrackProblem.cost`."""
        end = offset + len(state.trans)
        total = float((self._residuals(state, offset, end) ** 2).sum())
        if self.extra is not None:
            total += sum(float((v**2).sum()) for v, _ in self.extra(offset, end, state, False))
        return total
