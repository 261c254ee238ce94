"""Residuals of one track: those of `keypoint_fit` for each frame, and extra ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from backend.body.keypoint_fit.fit import STAGES
from backend.body.keypoint_fit.observations import LEVEL, Observations, observe
from backend.body.keypoint_fit.problem import Problem, Weights
from backend.body.kinematics import Skeleton, State
from backend.body.landmarks import BONE_FROM, BONE_TO, LEG_BONES, SOURCES
from backend.geometry.camera_path import View
from backend.motion.contacts import intervals
from backend.structures import Camera, Track

_BATCH = 64  # frames whose Jacobians are in memory at once
_DIRECTIONS, _PRIOR, _ = STAGES[-1]
# Factor of the stiffness of unobserved joints, see `Problem`: small, so that the motion before and after decides.
# Unchanged since the first version, origin not recorded.
_UNSEEN = 0.2

Extra = Callable[[int, int, State, bool], list[tuple[np.ndarray, np.ndarray | None]]]


class TrackProblem:
    """Least-squares problem of one track, without the smoothness terms.  `extra` may add residuals of its frames."""

    def __init__(
        self,
        skeleton: Skeleton,
        track: Track,
        camera: Camera,
        hidden: np.ndarray | None = None,
        up: np.ndarray = LEVEL,
        view: View | None = None,
        bridged_rows: int = 0,
    ) -> None:
        """hidden: (T,) bool, rows without a motion; the smoothness terms do not reach across them.
        up: (3,) unit, camera frame.  view: camera path of the rows where the camera moves: states are in its common
        frame, and `up` is not used.  bridged_rows: legs with visibility 0 for at most so many rows
        (`suppress_limb_outliers`) are interpolated by the smoothness terms; otherwise the prior says that they stand.
        """
        self._camera, self._view, self._bridged = camera, view, bridged_rows
        self.skeleton = skeleton
        self.track = track
        self.hidden = np.zeros(len(track), bool) if hidden is None else hidden
        self.observed = _observations(track, camera, up, view, bridged_rows)
        self._bone_confidence = self.observed.bone_confidence
        self.extra: Extra | None = None
        # joints that move a landmark: the solver changes only these
        self.joints = skeleton.active

    def set_up_axis(self, up: np.ndarray) -> None:
        """Observe again with a better up, (3,) unit, camera frame; without effect where the camera path is known."""
        if self._view is not None:
            return
        fresh = _observations(self.track, self._camera, up, None, self._bridged)
        downweighted = self.observed.bone_confidence / np.maximum(self._bone_confidence, 1e-9)
        self._bone_confidence = fresh.bone_confidence
        self.observed = replace(fresh, bone_confidence=fresh.bone_confidence * np.minimum(downweighted, 1.0))

    def problem(self, first: int, end: int) -> Problem:
        """Problem of rows first <= t < end."""
        return Problem(self.skeleton, self.observed.select(slice(first, end)), unseen=_UNSEEN)

    def trust(self, state: State) -> np.ndarray:
        """(T, K) robust weights, see `Problem.trust`."""
        return np.concatenate(
            [self.problem(k, k + _BATCH).trust(state[k : k + _BATCH]) for k in range(0, len(state.trans), _BATCH)]
        )

    def downweight_bones(self, trust: np.ndarray) -> None:
        """Reduce confidence of bones by their landmarks' robust weights: left/right swaps give false directions."""
        bone_confidence = self._bone_confidence * np.minimum(trust[:, BONE_FROM], trust[:, BONE_TO])
        self.observed = replace(self.observed, bone_confidence=bone_confidence)

    def normal(self, state: State, trust: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Normal matrices (T, D, D), descent (T, D), cost (T,) per frame; D = 3 A + 3: rotations of `joints`, trans.

        offset: row of the track of the state's first frame.
        """
        count, size = len(state.trans), 3 * len(self.joints) + 3
        blocks, descent, cost = np.empty((count, size, size)), np.empty((count, size)), np.empty(count)
        for k in range(0, count, _BATCH):
            end = min(k + _BATCH, count)
            part = state[k:end]
            weights = Weights(_DIRECTIONS, _PRIOR, trust[k:end])
            problem = self.problem(offset + k, offset + end)
            blocks[k:end], descent[k:end], cost[k:end] = problem.pose_normal(part, weights)
            if self.extra is None:
                continue
            for v, j in self.extra(offset + k, offset + end, part, True):
                assert j is not None
                transposed = np.swapaxes(j, 1, 2)
                blocks[k:end] += transposed @ j
                descent[k:end] -= (transposed @ v[..., None])[..., 0]
                cost[k:end] += (v**2).sum(1)
        return blocks, descent, cost

    def cost(self, state: State, trust: np.ndarray, offset: int) -> float:
        """Sum of squared residuals; arguments as of `normal`."""
        total = 0.0
        for k in range(0, len(state.trans), _BATCH):
            end = min(k + _BATCH, len(state.trans))
            part = state[k:end]
            weights = Weights(_DIRECTIONS, _PRIOR, trust[k:end])
            values, _ = self.problem(offset + k, offset + end).residuals(part, weights, derive=False)
            total += float((values**2).sum())
            if self.extra is not None:
                for extra, _ in self.extra(offset + k, offset + end, part, False):
                    total += float((extra**2).sum())
        return total


def _observations(track: Track, camera: Camera, up: np.ndarray, view: View | None, bridged_rows: int) -> Observations:
    """Observations of every row, with weight 0 in rows without a detection."""
    points, world = track.keypoints2d.astype(float), track.keypoints3d.astype(float)
    seen = np.nonzero(track.seen)[0]
    if len(seen):
        nearest = _nearest(seen, len(track))
        points, world = points[nearest], world[nearest]
    observed = observe(points, world, camera, up, view)
    unseen = np.stack([points[:, source, 2].max(1) == 0 for source in SOURCES], 1)
    for bone in LEG_BONES:
        for first, end in intervals(unseen[:, BONE_TO[bone]]):
            if first > 0 and end < len(track) and end - first <= bridged_rows:
                observed.bone_confidence[first:end, bone] = 0
    hidden = ~track.seen
    observed.seen[hidden] = 0
    observed.bone_confidence[hidden] = 0
    observed.balance[hidden] = 0
    return observed


def _nearest(seen: np.ndarray, count: int) -> np.ndarray:
    """(count,) for each row the nearest of the rows `seen` (ascending), the earlier of two."""
    rows = np.arange(count)
    after = np.clip(np.searchsorted(seen, rows), 0, len(seen) - 1)
    before = np.clip(after - 1, 0, len(seen) - 1)
    return np.where(np.abs(seen[before] - rows) <= np.abs(seen[after] - rows), seen[before], seen[after])
