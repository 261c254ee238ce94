"""Change between consecutive frames: where a person who enters the image may be."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

# Set on the rendered clips of docs/results.md with benchmarks/tracking.py, none held out
_GRID_SIDE = 64  # cells along the long side
_NOISE = 3.0  # grey levels; smaller changes of a cell count as noise
_MIN_CHANGE = 12.0  # grey levels summed over cells: a small person who walks
_WINDOW_SCALE = 1.6  # side of the search window over the extent of the change
_MARGIN = 0.15  # of a known person's box, by which it is enlarged before it is masked


class ChangeDetector:
    """Difference to the last frame on a coarse grey grid.  `state` is all that has to be saved."""

    def __init__(self) -> None:
        self._last: np.ndarray = np.zeros((0, 0), np.uint8)
        self._change: np.ndarray = np.zeros((0, 0), np.float32)

    def update(self, pixels: np.ndarray) -> None:
        """Take the next frame.  pixels: uint8 RGB (H, W, 3)."""
        height, width = pixels.shape[:2]
        scale = _GRID_SIDE / max(height, width)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        small: np.ndarray = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        if small.shape == self._last.shape:
            moved = small.astype(np.float32) - self._last
            moved -= np.median(moved)  # of the light
            self._change = np.maximum(np.abs(moved) - _NOISE, 0)
        else:
            self._change = np.zeros(small.shape, np.float32)
        self._last = small

    def search_window(self, known: Sequence[np.ndarray], size: tuple[int, int]) -> tuple[int, int, int, int] | None:
        """x, y, width, height, px, of a square around the largest change; None without one.

        known: boxes (4,) px of detected people, in which changes do not count.  size: width, height of the image, px.
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
        # dilated, so that moving parts of one body are one component
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
        """What the next frame needs, as arrays."""
        return {"last": self._last}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> ChangeDetector:
        """The detector with a saved `state`."""
        changes = cls()
        changes._last = np.array(state["last"], np.uint8)
        return changes
