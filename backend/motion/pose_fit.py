"""Poses that a network gave frame by frame, made one motion: the same ties over time, the poses as observations."""

from __future__ import annotations

import numpy as np

from backend.body.kinematics import Skeleton, State
from backend.geometry import rotations_numpy as rot
from backend.geometry.camera_path import View
from backend.motion.track_fit import TrackProblem, start_state
from backend.structures import Camera, Track

_TURN = 5.0  # per rad: about as firmly as keypoints hold a joint
_MOVE = (20.0, 20.0, 4.0)  # per metre: depth is known worst


class PoseProblem(TrackProblem):
    """Like `TrackProblem`, but what is observed are rotations and places."""

    def __init__(
        self,
        skeleton: Skeleton,
        track: Track,
        camera: Camera,
        given: State,
        hidden: np.ndarray | None = None,
        view: View | None = None,
    ) -> None:
        """given: the network's answers for the rows that were seen, in order, in their camera frames."""
        super().__init__(skeleton, track, camera, hidden, view=view)
        self.given = start_state(skeleton, track, camera, given, view)
        self._weight = track.seen * 1.0
        self.joints = np.arange(len(skeleton.parents))  # poses say how every joint is turned
        axes = np.eye(3)[None] if view is None else view.rotation
        self._axes = np.broadcast_to(axes, (len(track), 3, 3))  # of the directions in which places are known

    def _residuals(self, state: State, first: int, end: int) -> np.ndarray:
        """(T, 3 J + 3)"""
        given = State(
            self.given.rotations[first:end], self.given.betas[first:end], self.given.trans[first:end]
        )
        turned = rot.log(np.swapaxes(given.rotations, -1, -2) @ state.rotations) * _TURN
        gap = (self._axes[first:end] @ (state.trans - given.trans)[..., None])[..., 0]
        moved = gap * np.array(_MOVE)
        both = np.concatenate([turned.reshape(len(turned), -1), moved], 1)
        return both * self._weight[first:end, None]

    def normal(
        self, state: State, trust: np.ndarray, offset: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `TrackProblem.normal`."""
        count = len(state.trans)
        turns = 3 * len(self.skeleton.parents)
        values = self._residuals(state, offset, offset + count)
        weight = self._weight[offset : offset + count]
        blocks = np.zeros((count, turns + 3, turns + 3))
        diagonal = np.arange(turns)
        blocks[:, diagonal, diagonal] = (_TURN * weight[:, None]) ** 2
        slope = self._axes[offset : offset + count] * (np.array(_MOVE)[:, None] * weight[:, None, None])
        blocks[:, turns:, turns:] = np.swapaxes(slope, 1, 2) @ slope
        descent, cost = np.empty((count, turns + 3)), (values**2).sum(1)
        descent[:, :turns] = -_TURN * weight[:, None] * values[:, :turns]
        descent[:, turns:] = -(np.swapaxes(slope, 1, 2) @ values[:, turns:, None])[..., 0]
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
