"""One person through a clip: one shape, and poses that follow the keypoints without their jitter.

Levenberg-Marquardt on all frames of a window at once: the residuals of `track_problem` for each frame, and
accelerations between frames.  The normal matrix is banded: time and memory grow linearly with the number of frames.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backend.body.keypoint_fit.observations import LEVEL
from backend.body.kinematics import Skeleton, State
from backend.geometry import rotations_numpy as rot
from backend.geometry.camera_path import View
from backend.motion.banded_solver import solve_banded
from backend.motion.contacts import intervals
from backend.motion.occlusion_gaps import interpolate_state
from backend.motion.shape_fit import fit_shape
from backend.motion.smoothness import Smoothness, accelerations, smoothness_weights
from backend.motion.track_problem import TrackProblem
from backend.structures import Camera, Track

# Unchanged since the first version, origin not recorded; tests check that windows leave no seam
WINDOW = 384  # frames solved together: bounds the memory
OVERLAP = 48  # frames that neighbouring windows share; each gives half of them
_ITERATIONS = 7
_DAMPING = 1e-3
_MAX_STEP = 0.7  # rad per joint: beyond it the linearisation is useless
# Set on the rendered clips of docs/results.md and on simulated left/right swaps (tests), none held out
_FIRST_ITERATIONS = 4  # with constant smoothness weights
_FIRST_TRUST = 0.3  # mean robust weight of a frame's landmarks below which they are down-weighted from the start


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
    """The problem, to which terms can be added, and the fitted state.

    start: see `start_state`.  hidden, up, view, bridged_rows: see `TrackProblem`.  height_m: see `fit_shape`.
    """
    problem = TrackProblem(skeleton, track, camera, hidden, up, view, bridged_rows)
    betas = fit_shape(skeleton, problem.observed, track.seen, start, height_m)
    state = State(start.rotations, np.broadcast_to(betas, start.betas.shape).copy(), start.trans)
    # frames that contradict their neighbours must not count before the motion is known
    trust = problem.trust(state)
    seen = problem.observed.seen
    trust[(trust * seen).sum(1) / np.maximum(seen.sum(1), 1e-9) > _FIRST_TRUST] = 1.0
    problem.downweight_bones(trust)
    on_progress(0.1)
    first = smooth.without_fast_motion
    state = minimize_windows(problem, state, trust, first, _FIRST_ITERATIONS, lambda x: on_progress(0.1 + 0.4 * x))
    trust = problem.trust(state)
    problem.downweight_bones(trust)
    state = minimize_windows(problem, state, trust, smooth, _ITERATIONS, lambda x: on_progress(0.5 + 0.5 * x))
    return problem, state


def minimize_windows(
    problem: TrackProblem,
    state: State,
    trust: np.ndarray,
    smooth: Smoothness,
    iterations: int,
    on_progress: Callable[[float], None] = lambda part: None,
) -> State:
    """The minimised state, solved in windows; stretches between hidden rows are independent.

    Neighbouring windows share OVERLAP frames, and each gives half of them.  Hidden rows are interpolated.
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

            part = _minimize(problem, state[first:end], trust[first:end], smooth, first, iterations, within)
            keep_from = 0 if first == begin else OVERLAP // 2
            keep_to = len(part.trans) if end == stop else len(part.trans) - OVERLAP // 2
            found.append(part[keep_from:keep_to])
            on_progress(end / count)
            if end == stop:
                break
            first = end - OVERLAP
    solved = State(*(np.concatenate([getattr(p, n) for p in found]) for n in ("rotations", "betas", "trans")))
    return solved if shown.all() else interpolate_state(solved, np.nonzero(shown)[0], count)


def _minimize(
    problem: TrackProblem,
    state: State,
    trust: np.ndarray,
    smooth: Smoothness,
    offset: int,
    iterations: int,
    on_progress: Callable[[float], None],
) -> State:
    """Levenberg-Marquardt with smoothness weights that follow the accelerations."""
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
            if attempt % 2:  # a shorter step costs less than another solve
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
    rotation_step = rotation_step * np.minimum(1.0, _MAX_STEP / np.maximum(size, 1e-9))
    rotations = state.rotations.copy()
    rotations[:, joints] = rotations[:, joints] @ rot.exp(rotation_step)
    return State(rotations, state.betas, state.trans + step[:, -3:])
