"""The turned square around a person that the landmark network looks at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.body.joint_sets import HIPS, SHOULDERS

_MARGIN = 1.25  # MediaPipe's: side of the region over the diameter of the circle around a person


@dataclass(frozen=True)
class Region:
    """x, y: its middle, side, px; rotation: rad, clockwise, 0 where the person is upright."""

    x: float
    y: float
    side: float
    rotation: float

    @staticmethod
    def from_landmarks(points: np.ndarray) -> Region:
        """points: (33, 2) landmarks, px.  The square that MediaPipe puts round a person with these: about the middle
        of the hips, as large as a circle around all of them, upright along the trunk."""
        hips = points[list(HIPS)].mean(0)
        trunk = points[list(SHOULDERS)].mean(0) - hips
        radius = max(float(np.linalg.norm(points - hips, axis=1).max()), 1e-3)
        return Region.from_circle(hips, hips + trunk / max(float(np.linalg.norm(trunk)), 1e-6) * radius)

    @staticmethod
    def from_circle(middle: np.ndarray, top: np.ndarray) -> Region:
        """middle, top: (2,) px, of the circle around a person; the top is over the head."""
        up = top - middle
        side = 2 * _MARGIN * float(np.linalg.norm(up))
        return Region(float(middle[0]), float(middle[1]), side, float(np.arctan2(up[0], -up[1])))

    @staticmethod
    def from_array(values: np.ndarray) -> Region:
        """Back from `array`."""
        return Region(*map(float, values))

    def array(self) -> np.ndarray:
        """(4,) x, y, side, rotation."""
        return np.array([self.x, self.y, self.side, self.rotation])

    def moved(self, by: np.ndarray) -> Region:
        """by: (2,) px."""
        return Region(self.x + float(by[0]), self.y + float(by[1]), self.side, self.rotation)

    def enlarged(self, factor: float) -> Region:
        """Of another size about the same middle."""
        return Region(self.x, self.y, self.side * factor, self.rotation)

    def scaled(self, scale: float) -> Region:
        """In px of a picture `scale` times as large."""
        return Region((self.x + 0.5) * scale - 0.5, (self.y + 0.5) * scale - 0.5, self.side * scale, self.rotation)
