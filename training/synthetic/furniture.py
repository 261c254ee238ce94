"""The box that people sit on; corners are not shared between its sides, so that each is shaded flat."""

from __future__ import annotations

import numpy as np

_SIDES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
_CORNERS = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (0.0, 1.0) for z in (-0.5, 0.5)], np.float32)
_UNIT = _CORNERS[[corner for side in _SIDES for corner in side]]  # (24, 3), 1 m, standing on the floor
FACES = np.array([(4 * k, 4 * k + a, 4 * k + a + 1) for k in range(6) for a in (1, 2)])
EMPTY = np.zeros((24, 3), np.float32)  # degenerate: nothing to draw


def stool(rng: np.random.Generator, bottom: np.ndarray, yaw: float) -> np.ndarray:
    """(24, 3) m corners of a box under the seat points `bottom` (n, 3), world; yaw: heading of the person, 0 is +z."""
    top = float(bottom[:, 1].min()) + 0.012  # soft tissue compresses
    size = np.array([rng.uniform(0.34, 0.55), max(top, 0.01), rng.uniform(0.34, 0.45)], np.float32)
    forward = np.array([np.sin(yaw), 0, np.cos(yaw)])
    middle = (bottom.min(0) + bottom.max(0)) / 2 * [1, 0, 1]
    back = 0.5 * size[2] - rng.uniform(0.14, 0.2)  # front edge under the thighs
    c, s = np.cos(yaw), np.sin(yaw)
    yaw_rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return (_UNIT * size) @ yaw_rotation.T + middle - back * forward
