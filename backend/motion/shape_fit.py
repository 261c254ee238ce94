"""One shape per person, from the frames that show most of the body, spread over the track."""

from __future__ import annotations

import numpy as np

from backend.body.keypoint_fit.fit import STAGES
from backend.body.keypoint_fit.observations import Observations
from backend.body.keypoint_fit.problem import SHAPE_WEIGHT, Problem, Weights
from backend.body.kinematics import Skeleton, State

MAX_FRAMES = 32  # 48 at first; reduced for speed
_ITERATIONS = 12  # unchanged since the first version, origin not recorded
_CONVERGED = 3e-3  # largest step of a beta; chosen for speed
# Per metre of height off the mean body's: one camera cannot tell a tall person from a near one.  Set on the rendered
# clips of docs/results.md, none held out; there the depth of people of another height is 0.3 m wrong.
_MEAN_HEIGHT_WEIGHT = 100.0
_PRIOR_SHARE = 0.6  # of the shape priors of all frames that is kept; origin not recorded
_HEIGHT_WEIGHT = 400.0  # per metre off the height that the user gave: practically fixed
_MIN_QUALITY = 0.6  # mean visibility of a chosen frame, as a share of the best one's; origin not recorded
_MAX_BETA = 4.0  # a guard, origin not recorded
_MAX_STEP = 0.7  # rad: beyond it the linearisation is useless
_DIRECTIONS, _PRIOR = STAGES[-1][:2]


def fit_shape(
    skeleton: Skeleton, observed: Observations, found: np.ndarray, start: State, height_m: float = 0.0
) -> np.ndarray:
    """(B,) betas, common to the chosen frames, with poses and translations of each free (Schur complement).

    observed, start: of all T frames of the track.  found: (T,) bool, frames with a detection.  height_m: of the
    person standing straight; 0: unknown.
    """
    rows = _choose(observed, found)
    if not len(rows):
        return np.zeros(skeleton.joint_directions.shape[2])
    betas = np.median(start.betas[rows], axis=0)
    state = State(start.rotations[rows], np.tile(betas, (len(rows), 1)), start.trans[rows])
    chosen = observed.select(rows)
    whole = Problem(skeleton, chosen)
    num_angles, count = 3 * len(skeleton.parents), len(betas)
    free = np.r_[0:num_angles, num_angles + count : num_angles + count + 3]
    shape = np.r_[num_angles : num_angles + count]
    # each frame's problem contains the shape prior, but errors of frames are correlated: a share is subtracted again
    excess_prior = SHAPE_WEIGHT**2 * len(rows) * (1 - _PRIOR_SHARE)
    trust = np.ones_like(chosen.seen)
    damping = 1e-2
    for step_number in range(_ITERATIONS):
        values, jacobian = whole.residuals(state, Weights(_DIRECTIONS, _PRIOR, trust))
        assert jacobian is not None
        transposed = np.swapaxes(jacobian, 1, 2)
        hessian, descent = transposed @ jacobian, -(transposed @ values[..., None])[..., 0]
        diagonal = np.arange(hessian.shape[1])
        hessian[:, diagonal, diagonal] *= 1 + damping
        hessian[:, diagonal, diagonal] += 1e-6
        own, mixed = hessian[:, free][:, :, free], hessian[:, free][:, :, shape]
        common = hessian[:, shape][:, :, shape].sum(0)
        gradient = descent[:, shape].sum(0)
        common[np.arange(count), np.arange(count)] -= excess_prior
        gradient += excess_prior * state.betas[0]
        slope = skeleton.height_directions
        height = float(skeleton.height + slope @ state.betas[0])  # m, in the rest pose
        target, weight = (height_m, _HEIGHT_WEIGHT) if height_m else (skeleton.height, _MEAN_HEIGHT_WEIGHT)
        common += weight**2 * np.outer(slope, slope)
        gradient += weight**2 * slope * (target - height)
        solved = np.linalg.solve(own, np.concatenate([mixed, descent[:, free][..., None]], 2))
        eliminated = np.swapaxes(mixed, 1, 2) @ solved
        step_betas = np.linalg.solve(common - eliminated[..., :count].sum(0), gradient - eliminated[..., count].sum(0))
        step_free: np.ndarray = solved[..., count] - (solved[..., :count] @ step_betas)
        step = np.zeros((len(rows), hessian.shape[1]))
        step[:, free], step[:, shape] = step_free, step_betas
        size = np.abs(step[:, :num_angles]).max()
        state = state.updated(step * min(1.0, _MAX_STEP / max(size, 1e-9)))
        if step_number == _ITERATIONS // 2:
            trust = whole.trust(state)
        elif step_number > _ITERATIONS // 2 and np.abs(step_betas).max() < _CONVERGED:
            break
        damping = max(damping * 0.5, 1e-4)
    return np.clip(state.betas[0], -_MAX_BETA, _MAX_BETA)


def _choose(observed: Observations, found: np.ndarray) -> np.ndarray:
    """Rows with the highest mean visibility, one from each of MAX_FRAMES equal parts of the track."""
    rows = np.nonzero(found)[0]
    quality = observed.seen.mean(1)
    stretches = np.array_split(rows, min(MAX_FRAMES, len(rows))) if len(rows) else []
    best = np.array([stretch[np.argmax(quality[stretch])] for stretch in stretches], int)
    return best[quality[best] >= _MIN_QUALITY * quality[best].max()] if len(best) else best
