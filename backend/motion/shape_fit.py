"""One shape for a person: from a well-spread choice of the frames that show them best."""

from __future__ import annotations

import numpy as np

from backend.body.keypoint_fit.observations import Observations
from backend.body.keypoint_fit.problem import SHAPE_WEIGHT, Problem, Weights
from backend.body.kinematics import Skeleton, State

MAX_FRAMES = 32
_ITERATIONS = 12
_MEAN_HEIGHT_WEIGHT = 100.0  # per metre off the mean body: pictures do not tell a tall person from a near one
_CONVERGED = 3e-3  # of every beta in one step
_HEIGHT_WEIGHT = 400.0  # per metre: what the user says is so
_DIRECTIONS, _PRIOR = 4.5, 0.6
_PRIOR_SHARE = 0.6


def fit_shape(
    skeleton: Skeleton, observed: Observations, found: np.ndarray, start: State, height_m: float = 0.0
) -> np.ndarray:
    """-> (B,) betas: poses and places of the chosen frames free, betas common (Schur complement).

    observed, start: of all T frames of the track.  found: (T,) bool, frames in which the person was detected.
    height_m: of the body standing straight, where the user knows it; 0 where not.
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
    # the problem says the prior on the shape once per frame; frames err alike, so that few count for themselves
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
        height, slope = rest_height(skeleton, state.betas[0])
        target_height, height_weight = (
            (height_m, _HEIGHT_WEIGHT) if height_m else (skeleton.height, _MEAN_HEIGHT_WEIGHT)
        )
        common += height_weight**2 * np.outer(slope, slope)
        gradient += height_weight**2 * slope * (target_height - height)
        solved = np.linalg.solve(own, np.concatenate([mixed, descent[:, free][..., None]], 2))
        eliminated = np.swapaxes(mixed, 1, 2) @ solved
        step_betas = np.linalg.solve(common - eliminated[..., :count].sum(0), gradient - eliminated[..., count].sum(0))
        step_free: np.ndarray = solved[..., count] - (solved[..., :count] @ step_betas)
        step = np.zeros((len(rows), hessian.shape[1]))
        step[:, free], step[:, shape] = step_free, step_betas
        size = np.abs(step[:, :num_angles]).max()
        state = state.updated(step * min(1.0, 0.7 / max(size, 1e-9)))
        if step_number == _ITERATIONS // 2:
            trust = whole.trust(state)
        elif step_number > _ITERATIONS // 2 and np.abs(step_betas).max() < _CONVERGED:
            break
        damping = max(damping * 0.5, 1e-4)
    return np.clip(state.betas[0], -4.0, 4.0)


def _choose(observed: Observations, found: np.ndarray) -> np.ndarray:
    """Rows that show most of the body, one from each stretch of the track."""
    rows = np.nonzero(found)[0]
    quality = observed.seen.mean(1)
    stretches = np.array_split(rows, min(MAX_FRAMES, len(rows))) if len(rows) else []
    best = np.array([stretch[np.argmax(quality[stretch])] for stretch in stretches], int)
    return best[quality[best] >= 0.6 * quality[best].max()] if len(best) else best


def rest_height(skeleton: Skeleton, betas: np.ndarray) -> tuple[float, np.ndarray]:
    """Height of the unposed body in metres, and how it changes with the betas."""
    slope = skeleton.height_directions
    return float(skeleton.height + slope @ betas), slope
