"""One person through a clip: one shape, and poses that follow the keypoints without their jitter.

Gauss-Newton on all frames of a window at once: the residuals of `keypoint_fit` for each frame, and accelerations
between frames.  The normal matrix is banded, so that time and memory grow with the number of frames and no faster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from backend.body.camera_frames import to_common_frame
from backend.body.keypoint_fit.fit import STAGES, initial_state
from backend.body.keypoint_fit.observations import LEVEL, Observations, observe
from backend.body.keypoint_fit.problem import Problem, Weights
from backend.body.kinematics import Skeleton, State
from backend.body.landmarks import BONE_FROM, BONE_TO, LEG_BONES, SOURCES
from backend.geometry import rotations_numpy as rot
from backend.geometry.camera_path import View
from backend.motion.banded_solver import solve_banded
from backend.motion.contacts import intervals
from backend.motion.occlusion_gaps import interpolate_state
from backend.motion.shape_fit import fit_shape
from backend.motion.smoothness import Smoothness, accelerations, smoothness_weights
from backend.structures import Camera, Track

WINDOW = 384  # frames solved together
OVERLAP = 48  # of neighbouring windows; half of it is used from each
_BATCH = 64  # frames whose derivatives are held at once
_ITERATIONS = 7
_DIRECTIONS, _PRIOR, _ = STAGES[-1]
_UNSEEN = 0.2  # what is not seen is carried by the motion rather than by rest
_DAMPING = 1e-3
_FIRST_TRUST = 0.3  # mean over the landmarks of a frame
_NEARBY = 5  # frames
_FLIP_ANGLE = 1.5  # rad

Extra = Callable[[int, int, State, bool], list[tuple[np.ndarray, np.ndarray | None]]]


class TrackProblem:
    """The frames of one track as one problem.  `extra` may add residuals of frames first to end."""

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
        """hidden: (T,) bool, rows that belong to no motion; what is before and after them is not tied together.
        bridged_rows: rows; legs hidden for no longer (`suppress_limb_outliers`) follow the motion; others stand.
        up: (3,) unit, camera frame.  view: of every row, where the camera moves; states are then in its common frame,
        and up is known."""
        self._camera, self._view, self._bridged = camera, view, bridged_rows
        self.skeleton = skeleton
        self.track = track
        self.hidden = np.zeros(len(track), bool) if hidden is None else hidden
        self.observed = _observations(track, camera, up, view, bridged_rows)
        self._bone_confidence = self.observed.bone_confidence
        self.extra: Extra | None = None
        # those that the solver turns: what turns no landmark stays as it is
        self.joints = skeleton.active

    def set_up_axis(self, up: np.ndarray) -> None:
        """The world's up is known better now."""
        if self._view is not None:  # it was known from the beginning
            return
        fresh = _observations(self.track, self._camera, up, None, self._bridged)
        downweighted = self.observed.bone_confidence / np.maximum(self._bone_confidence, 1e-9)
        self._bone_confidence = fresh.bone_confidence
        self.observed = replace(fresh, bone_confidence=fresh.bone_confidence * np.minimum(downweighted, 1.0))

    def part(self, first: int, end: int) -> Observations:
        """Observations of frames first <= t < end."""
        return self.observed.select(slice(first, end))

    def problem(self, first: int, end: int) -> Problem:
        return Problem(self.skeleton, self.part(first, end), unseen=_UNSEEN)

    def trust(self, state: State) -> np.ndarray:
        """(T, K): see `Problem.trust`."""
        return np.concatenate(
            [
                self.problem(k, k + _BATCH).trust(slice_state(state, k, k + _BATCH))
                for k in range(0, len(state.trans), _BATCH)
            ]
        )

    def downweight_bones(self, trust: np.ndarray) -> None:
        """Bones between landmarks that are not believed say nothing: a frame with left and right exchanged."""
        bone_confidence = self._bone_confidence * np.minimum(trust[:, BONE_FROM], trust[:, BONE_TO])
        self.observed = replace(self.observed, bone_confidence=bone_confidence)

    def normal(self, state: State, trust: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """-> (T, D, D), (T, D), (T,): normal matrices, descent and cost of each frame, D = 3 A + 3: the turns of the
        `joints` and the place.  offset: number of the state's first frame in the track.
        """
        count, size = len(state.trans), 3 * len(self.joints) + 3
        blocks, descent, cost = np.empty((count, size, size)), np.empty((count, size)), np.empty(count)
        for k in range(0, count, _BATCH):
            end = min(k + _BATCH, count)
            part = slice_state(state, k, end)
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
        total = 0.0
        for k in range(0, len(state.trans), _BATCH):
            end = min(k + _BATCH, len(state.trans))
            part = slice_state(state, k, end)
            weights = Weights(_DIRECTIONS, _PRIOR, trust[k:end])
            values, _ = self.problem(offset + k, offset + end).residuals(part, weights, derive=False)
            total += float((values**2).sum())
            if self.extra is not None:
                for extra, _ in self.extra(offset + k, offset + end, part, False):
                    total += float((extra**2).sum())
        return total


def slice_state(state: State, first: int, end: int) -> State:
    return State(state.rotations[first:end], state.betas[first:end], state.trans[first:end])


def concatenate_states(parts: list[State]) -> State:
    return State(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("rotations", "betas", "trans")))


def fit_track(
    skeleton: Skeleton,
    track: Track,
    camera: Camera,
    smooth: Smoothness,
    start: State,
    *,
    hidden: np.ndarray | None = None,
    up: np.ndarray = LEVEL,
    view: View | None = None,
    bridged_rows: int = 0,
    height_m: float = 0.0,
    on_progress: Callable[[float], None] = lambda part: None,
) -> tuple[TrackProblem, State]:
    """start: see `start_state`.  hidden, up, view, bridged_rows: see `TrackProblem`.  Returns the problem,
    for further terms, and the state."""
    problem = TrackProblem(skeleton, track, camera, hidden, up, view, bridged_rows)
    betas = fit_shape(skeleton, problem.observed, track.seen, start, height_m)
    state = State(start.rotations, np.broadcast_to(betas, start.betas.shape).copy(), start.trans)
    # frames that do not agree with their neighbours at all must not pull before the motion is known
    trust = problem.trust(state)
    trust[_mean_over_visible(trust, problem.observed.seen) > _FIRST_TRUST] = 1.0
    problem.downweight_bones(trust)
    on_progress(0.1)
    state = minimize_windows(
        problem, state, trust, smooth.without_fast_motion, 4, lambda part: on_progress(0.1 + 0.4 * part)
    )
    trust = problem.trust(state)
    problem.downweight_bones(trust)
    state = minimize_windows(problem, state, trust, smooth, _ITERATIONS, lambda part: on_progress(0.5 + 0.5 * part))
    return problem, state


def _mean_over_visible(trust: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return (trust * seen).sum(1) / np.maximum(seen.sum(1), 1e-9)


def minimize_windows(
    problem: TrackProblem,
    state: State,
    trust: np.ndarray,
    smooth: Smoothness,
    iterations: int,
    on_progress: Callable[[float], None] = lambda part: None,
) -> State:
    """Solve window after window, every stretch without hidden rows for itself; hidden rows are bridged afterwards.

    Neighbouring windows have OVERLAP frames in common, and each gives half of them.
    """
    count = len(state.trans)
    shown = ~problem.hidden
    found: list[State] = []
    for begin, stop in intervals(shown):
        first = begin
        while True:
            end = min(first + WINDOW, stop)
            if stop - end < WINDOW // 4:
                end = stop

            def within(part: float, first: int = first, end: int = end) -> None:
                on_progress((first + part * (end - first)) / count)

            part = _minimize(
                problem, slice_state(state, first, end), trust[first:end], smooth, first, iterations, within
            )
            keep_from = 0 if first == begin else OVERLAP // 2
            keep_to = len(part.trans) if end == stop else len(part.trans) - OVERLAP // 2
            found.append(slice_state(part, keep_from, keep_to))
            on_progress(end / count)
            if end == stop:
                break
            first = end - OVERLAP
    return (
        concatenate_states(found)
        if shown.all()
        else interpolate_state(concatenate_states(found), np.nonzero(shown)[0], count)
    )


def _minimize(
    problem: TrackProblem,
    state: State,
    trust: np.ndarray,
    smooth: Smoothness,
    offset: int,
    iterations: int,
    on_progress: Callable[[float], None],
) -> State:
    """Levenberg-Marquardt with reweighted ties."""
    damping = _DAMPING
    joints = problem.joints
    blocks, descent, cost = problem.normal(state, trust, offset)
    diagonal = np.arange(descent.shape[1])
    for iteration in range(iterations):
        on_progress(iteration / iterations)
        before = accelerations(state, joints) if len(state.trans) > 2 else np.zeros((0, descent.shape[1]))
        acceleration_weights = smoothness_weights(before, smooth)
        acceleration_gradient = _second_difference_transpose(acceleration_weights * before, len(state.trans))
        total = float(cost.sum() + (acceleration_weights * before**2).sum())
        better, step = False, np.zeros_like(descent)
        for attempt in range(6):
            if attempt % 2:  # half the way is cheaper than another way
                step = 0.4 * step
            else:
                damped = blocks.copy()
                damped[:, diagonal, diagonal] += damping * (blocks[:, diagonal, diagonal] + 1e-6) + 1e-9
                step = solve_banded(damped, descent - acceleration_gradient, acceleration_weights)
            tried = _apply_step(state, joints, step)
            after = accelerations(tried, joints) if len(state.trans) > 2 else before
            new = problem.cost(tried, trust, offset) + float((acceleration_weights * after**2).sum())
            if new < total:
                better = True
                break
            damping = min(damping * 4, 1e4)
        if not better:
            break
        state, damping = tried, max(damping * (0.2 if attempt == 0 else 1.0), 1e-6)
        if total - new < 1e-3 * total:
            break
        blocks, descent, cost = problem.normal(state, trust, offset)
    return state


def _second_difference_transpose(weighted: np.ndarray, count: int) -> np.ndarray:
    """D^T v: (T - 2, D) -> (T, D)."""
    out = np.zeros((count, weighted.shape[1]))
    if len(weighted):
        out[:-2] += weighted
        out[1:-1] -= 2 * weighted
        out[2:] += weighted
    return out


def _apply_step(state: State, joints: np.ndarray, step: np.ndarray) -> State:
    rotation_step = step[:, :-3].reshape(-1, len(joints), 3)
    size = np.linalg.norm(rotation_step, axis=-1, keepdims=True)
    rotation_step = rotation_step * np.minimum(
        1.0, 0.7 / np.maximum(size, 1e-9)
    )  # farther the linear model means nothing
    rotations = state.rotations.copy()
    rotations[:, joints] = rotations[:, joints] @ rot.exp(rotation_step)
    return State(rotations, state.betas, state.trans + step[:, -3:])


def _observations(track: Track, camera: Camera, up: np.ndarray, view: View | None, bridged_rows: int) -> Observations:
    """Of every row; rows without a sight say nothing at all."""
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
    rows = np.arange(count)
    after = np.clip(np.searchsorted(seen, rows), 0, len(seen) - 1)
    before = np.clip(after - 1, 0, len(seen) - 1)
    return np.where(np.abs(seen[before] - rows) <= np.abs(seen[after] - rows), seen[before], seen[after])


def start_state(
    skeleton: Skeleton,
    track: Track,
    camera: Camera,
    per_frame: State | None = None,
    view: View | None = None,
) -> State:
    """A start for every row: `per_frame`, the bodies of the rows that were seen, in order; between them interpolated.

    per_frame is in the camera frame of each row; with the `view` of every row, what comes back is in the common frame.

    So are those that are turned over for a moment: nobody is, but a detector that exchanges left and right says so.
    """
    seen = np.nonzero(track.seen)[0]
    if per_frame is None:
        seeing = None if view is None else view[seen]
        observed = observe(track.keypoints2d[seen], track.keypoints3d[seen], camera, view=seeing)
        per_frame = initial_state(skeleton, track.keypoints3d[seen], observed)
    elif view is not None:
        per_frame = to_common_frame(view[seen], skeleton, per_frame)
    sure = ~flipped_frames(per_frame)
    if sure.any():
        seen = seen[sure]
        per_frame = State(per_frame.rotations[sure], per_frame.betas[sure], per_frame.trans[sure])
    return interpolate_state(per_frame, seen, len(track))


def flipped_frames(per_frame: State) -> np.ndarray:
    """(T,) bool: the body looks another way than in most frames nearby."""
    rotations = per_frame.rotations[:, 0]
    count = len(rotations)
    angles = []
    for shift in range(-_NEARBY, _NEARBY + 1):
        if shift == 0:
            continue
        other = rotations[np.clip(np.arange(count) + shift, 0, count - 1)]
        angles.append(np.linalg.norm(rot.log(np.swapaxes(rotations, -1, -2) @ other), axis=-1))
    return np.median(angles, axis=0) > _FLIP_ANGLE
