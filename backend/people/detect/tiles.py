"""Overlapping tiles of an image, in which small people are detected too."""

from __future__ import annotations

import numpy as np

FRACTIONS = (0.6, 0.36)  # sides over the image's longer side; origin not recorded
MIN_SIDE = 140  # px; smaller tiles are not used; origin not recorded


def tiles(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """(x, y, width, height) of each tile, px; neighbours overlap by about half.  None is the whole image."""
    found: list[tuple[int, int, int, int]] = []
    long_side = max(width, height)
    for k, fraction in enumerate(FRACTIONS):
        elongated = long_side > 1.6 * min(width, height)
        side = min(width, height) if k == 0 and elongated else int(long_side * fraction)
        if side < MIN_SIDE:
            continue
        w, h = min(width, side), min(height, side)
        columns, rows = _starts(width, w), _starts(height, h)
        if len(columns) * len(rows) > 1:
            found += [(int(x), int(y), w, h) for y in rows for x in columns]
    return found


def _starts(length: int, side: int) -> np.ndarray:
    count = 1 if side >= length else int(np.ceil((length - side) / (side * 0.5))) + 1
    return np.linspace(0, length - side, count).astype(int)
