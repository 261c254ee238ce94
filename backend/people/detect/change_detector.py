"""Where a clip's picture changes from one frame to the next: who comes in moves."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_GRID_SIDE = 64  # cells along the long side
_NOISE = 3.0  # grey levels that a cell may change by itself
_MIN_CHANGE = 12.0  # sum of grey levels over cells: a small person who walks
_WINDOW_SCALE = 1.6  # side of the square over what changes in it
_MARGIN = 0.15  # of a box, by which what somebody known moves reaches over it


class ChangeDetector:
    """Remembers the last frame, small and grey.  All it knows is in `state`."""

    def __init__(self) -> None:
        self._last: np.ndarray = np.zeros((0, 0), np.uint8)
        self._change: np.ndarray = np.zeros((0, 0), np.float32)

    def update(self, pixels: np.ndarray) -> None:
        """pixels: uint8 RGB (H, W, 3) of the next frame."""
        height, width = pixels.shape[:2]
        scale = _GRID_SIDE / max(height, width)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        small: np.ndarray = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        if small.shape == self._last.shape:
            moved = small.astype(np.float32) - self._last
            moved -= np.median(moved)  # the light may change everywhere
            self._change = np.maximum(np.abs(moved) - _NOISE, 0)
        else:
            self._change = np.zeros(small.shape, np.float32)
        self._last = small

    def search_window(self, known: Sequence[np.ndarray], size: tuple[int, int]) -> tuple[int, int, int, int] | None:
        """x, y, width, height, px, of a square round the largest change outside the boxes (4,) of those who are known.

        size: width, height of the picture, px.  None where nothing changes.
        """
        if not self._change.size:
            return None
        change = self._change.copy()
        rows, columns = change.shape
        across, down = columns / size[0], rows / size[1]
        for x0, y0, x1, y1 in known:
            wide, high = _MARGIN * (x1 - x0), _MARGIN * (y1 - y0)
            top, bottom = int(max((y0 - high) * down, 0)), int(np.ceil(max((y1 + high) * down, 0)))
            left, right = int(max((x0 - wide) * across, 0)), int(np.ceil(max((x1 + wide) * across, 0)))
            change[top:bottom, left:right] = 0
        # parts of one body may move while what lies between them does not
        near = cv2.dilate((change > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
        count, label, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
        sums = np.bincount(label.ravel(), change.ravel(), count)
        sums[0] = 0.0
        best = int(sums.argmax())
        if sums[best] < _MIN_CHANGE:
            return None
        x, y, w, h = (int(value) for value in stats[best][:4])
        side = _WINDOW_SCALE * max(w / across, h / down)
        middle = (x + w / 2) / across, (y + h / 2) / down
        return int(middle[0] - side / 2), int(middle[1] - side / 2), int(side), int(side)

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next frame needs."""
        return {"last": self._last}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> ChangeDetector:
        """Back from `state`."""
        changes = cls()
        changes._last = np.array(state["last"], np.uint8)
        return changes
