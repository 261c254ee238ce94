"""Levenberg-Marquardt over a batch of independent people, each with its own damping."""

from __future__ import annotations

import numpy as np

from backend.body.keypoint_fit.problem import Problem, Weights
from backend.body.kinematics import State

# Origin of these: not recorded
_DAMPING = 1e-2
_DAMPING_RANGE = (1e-7, 1e4)
_CONVERGED = 1e-4  # relative decrease of the cost


def minimize(problem: Problem, state: State, weights: Weights, iterations: int) -> tuple[State, np.ndarray]:
    """-> the state of lowest cost, its cost (B,).  Damping times 0.3 after a better step, times 4 after a worse one."""
    values, jacobian = problem.residuals(state, weights)
    cost = (values**2).sum(1)
    damping = np.full(len(cost), _DAMPING)
    diagonal = np.arange(problem.skeleton.size)
    for _ in range(iterations):
        assert jacobian is not None
        transposed = np.swapaxes(jacobian, 1, 2)
        hessian = transposed @ jacobian
        gradient = (transposed @ values[..., None])[..., 0]
        scale = hessian[:, diagonal, diagonal] + 1e-6
        hessian[:, diagonal, diagonal] += damping[:, None] * scale
        step = np.linalg.solve(hessian, -gradient[..., None])[..., 0]
        tried = state.updated(step)
        new_values, new_jacobian = problem.residuals(tried, weights)
        assert new_jacobian is not None
        new_cost = (new_values**2).sum(1)
        better = new_cost < cost
        finished = better & (cost - new_cost < _CONVERGED * cost)
        state = tried.where(better, state)
        values = np.where(better[:, None], new_values, values)
        jacobian = np.where(better[:, None, None], new_jacobian, jacobian)
        cost = np.where(better, new_cost, cost)
        damping = np.clip(np.where(better, damping * 0.3, damping * 4), *_DAMPING_RANGE)
        if finished.all():
            break
    return state, cost
