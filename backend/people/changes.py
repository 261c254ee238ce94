"""Where a clip's picture changes from one frame to the next: who comes in moves."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_LONG = 64  # cells along the long side
_NOISE = 3.0  # grey levels that a cell may change by itself
_LEAST = 12.0  # sum of grey levels over cells: a small person who walks
_MARGIN = 0.15  # of a box, by which what somebody known moves reaches over it


class Changes:
    """Remembers the last frame, small and grey.  All it knows is in `state`."""

    def __init__(self) -> None:
        self._last: np.ndarray = np.zeros((0, 0), np.uint8)
        self._change: np.ndarray = np.zeros((0, 0), np.float32)

    def update(self, pixels: np.ndarray) -> None:
        """pixels: uint8 RGB (H, W, 3) of the next frame."""
        height, width = pixels.shape[:2]
        scale = _LONG / max(height, width)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        small: np.ndarray = cv2.cvtColor(
            cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
        )
        if small.shape == self._last.shape:
            moved = small.astype(np.float32) - self._last
            moved -= np.median(moved)  # the light may change everywhere
            self._change = np.maximum(np.abs(moved) - _NOISE, 0)
        else:
            self._change = np.zeros(small.shape, np.float32)
        self._last = small

    def most(
        self,
        places: Sequence[tuple[int, int, int, int]],
        known: Sequence[np.ndarray],
        size: tuple[int, int],
    ) -> int | None:
        """Of rectangles (x, y, width, height) the one in which most changes that is outside the boxes (4,) of those
        who are known; of those that hold about as much, the smallest.  size: width, height of the picture, px.  None
        where nothing changes."""
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
        sums = np.array(
            [
                change[
                    int(y * down) : int(np.ceil((y + h) * down)),
                    int(x * across) : int(np.ceil((x + w) * across)),
                ].sum()
                for x, y, w, h in places
            ]
        )
        if not len(sums) or sums.max() < _LEAST:
            return None
        enough = np.nonzero(sums >= 0.9 * sums.max())[0]
        areas = [places[k][2] * places[k][3] for k in enough]
        return int(enough[np.argmin(areas)])

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next frame needs."""
        return {"last": self._last}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Changes:
        """Back from `state`."""
        changes = cls()
        changes._last = np.array(state["last"], np.uint8)
        return changes
