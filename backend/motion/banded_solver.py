"""Linear least squares over time: dense blocks per frame, second differences between frames per parameter."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded


def solve_banded(blocks: np.ndarray, gradient: np.ndarray, acceleration_weights: np.ndarray) -> np.ndarray:
    """(T, D) solution x of (B + A^T W A) x = g, with A the second difference over frames.

    blocks B: (T, D, D) symmetric, one per frame.  gradient g: (T, D).  acceleration_weights W: (T - 2, D), squared
    weights, one row per inner frame.  The matrix has 2 D diagonals below the main one; banded Cholesky, O(T D^3).
    """
    count, size = gradient.shape
    width = 2 * size if count > 2 else size - 1
    band = np.zeros((width + 1, count * size))  # lower form: band[i - j, j]
    rows = band.reshape(width + 1, count, size)
    for j in range(size):
        rows[: size - j, :, j] = blocks[:, j:, j].T
    if count > 2:
        rows[0, :-2] += acceleration_weights
        rows[0, 1:-1] += 4 * acceleration_weights
        rows[0, 2:] += acceleration_weights
        rows[size, :-2] -= 2 * acceleration_weights
        rows[size, 1:-1] -= 2 * acceleration_weights
        rows[2 * size, :-2] += acceleration_weights
    return solveh_banded(band, gradient.ravel(), lower=True, check_finite=False).reshape(count, size)
