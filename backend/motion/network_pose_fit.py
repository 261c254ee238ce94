"""One smooth motion from a network's per-frame poses: smoothness terms as in `track_fit`, poses as observations."""

from __future__ import annotations

import numpy as np

from backend.body.kinematics import Skeleton, State
from backend.geometry import rotations_numpy as rot
from backend.geometry.camera_path import View
from backend.motion.track_problem import TrackProblem
from backend.motion.track_start import start_state
from backend.structures import Camera, Track

# Unchanged since the first version, origin not recorded; about as stiff as the keypoint terms
_ROTATION_WEIGHT = 5.0  # per rad
_TRANSLATION_WEIGHT = (20.0, 20.0, 4.0)  # per metre along the camera's axes: depth is the least certain


class PoseProblem(TrackProblem):
    """`TrackProblem` whose observations are rotations and translations."""

    def __init__(
        self,
        skeleton: Skeleton,
        track: Track,
        camera: Camera,
        network_state: State,
        hidden: np.ndarray | None = None,
        view: View | None = None,
    ) -> None:
        """network_state: the network's bodies of the detected rows, in order, in their camera frames."""
        super().__init__(skeleton, track, camera, hidden, view=view)
        self.network_state = start_state(skeleton, track, camera, network_state, view)
        self._weight = track.seen * 1.0
        self.joints = np.arange(len(skeleton.parents))  # the poses observe all of them
        axes = np.eye(3)[None] if view is None else view.rotation
        self._axes = np.broadcast_to(axes, (len(track), 3, 3))  # camera axes, for _TRANSLATION_WEIGHT

    def _residuals(self, state: State, first: int, end: int) -> np.ndarray:
        """(T, 3 J + 3) weighted differences of rotations and translation."""
        network_state = self.network_state[first:end]
        rotation_residual = rot.log(np.swapaxes(network_state.rotations, -1, -2) @ state.rotations) * _ROTATION_WEIGHT
        gap = (self._axes[first:end] @ (state.trans - network_state.trans)[..., None])[..., 0]
        translation_residual = gap * np.array(_TRANSLATION_WEIGHT)
        both = np.concatenate([rotation_residual.reshape(len(rotation_residual), -1), translation_residual], 1)
        return both * self._weight[first:end, None]

    def normal(self, state: State, trust: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `TrackProblem.normal`."""
        count = len(state.trans)
        num_angles = 3 * len(self.skeleton.parents)
        values = self._residuals(state, offset, offset + count)
        weight = self._weight[offset : offset + count]
        blocks = np.zeros((count, num_angles + 3, num_angles + 3))
        diagonal = np.arange(num_angles)
        blocks[:, diagonal, diagonal] = (_ROTATION_WEIGHT * weight[:, None]) ** 2
        slope = self._axes[offset : offset + count] * (np.array(_TRANSLATION_WEIGHT)[:, None] * weight[:, None, None])
        blocks[:, num_angles:, num_angles:] = np.swapaxes(slope, 1, 2) @ slope
        descent, cost = np.empty((count, num_angles + 3)), (values**2).sum(1)
        descent[:, :num_angles] = -_ROTATION_WEIGHT * weight[:, None] * values[:, :num_angles]
        descent[:, num_angles:] = -(np.swapaxes(slope, 1, 2) @ values[:, num_angles:, None])[..., 0]
        if self.extra is not None:
            active = self.skeleton.active  # joints that the extra residuals depend on
            columns = np.r_[(3 * active[:, None] + np.arange(3)).ravel(), num_angles : num_angles + 3]
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
