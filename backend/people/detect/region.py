"""ROI: the rotated square around a person that MediaPipe's landmark network takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.body.joint_sets import HIPS, SHOULDERS

_MARGIN = 1.25  # side of the region over the diameter of the circle around a person; MediaPipe's value


@dataclass(frozen=True)
class Region:
    """A rotated square in the image.

    x, y of its middle and side, px; rotation: rad, clockwise, 0: the person is upright.
    """

    x: float
    y: float
    side: float
    rotation: float

    @staticmethod
    def from_landmarks(points: np.ndarray) -> Region:
        """MediaPipe's region for landmarks (33, 2) px: of a circle about the hips, around all, rotated to the trunk."""
        hips = points[list(HIPS)].mean(0)
        trunk = points[list(SHOULDERS)].mean(0) - hips
        radius = max(float(np.linalg.norm(points - hips, axis=1).max()), 1e-3)
        return Region.from_circle(hips, hips + trunk / max(float(np.linalg.norm(trunk)), 1e-6) * radius)

    @staticmethod
    def from_circle(middle: np.ndarray, top: np.ndarray) -> Region:
        """Region of a circle around a person.  middle, top: (2,) px; the top is above the head."""
        up = top - middle
        side = 2 * _MARGIN * float(np.linalg.norm(up))
        return Region(float(middle[0]), float(middle[1]), side, float(np.arctan2(up[0], -up[1])))

    @staticmethod
    def from_array(values: np.ndarray) -> Region:
        """Region of an `array`."""
        return Region(*map(float, values))

    def array(self) -> np.ndarray:
        """(4,) x, y, side, rotation."""
        return np.array([self.x, self.y, self.side, self.rotation])

    def moved(self, by: np.ndarray) -> Region:
        """The region translated.  by: (2,) px."""
        return Region(self.x + float(by[0]), self.y + float(by[1]), self.side, self.rotation)

    def enlarged(self, factor: float) -> Region:
        """The region with its side times `factor`."""
        return Region(self.x, self.y, self.side * factor, self.rotation)

    def scaled(self, scale: float) -> Region:
        """The same region in px of an image `scale` times as large."""
        return Region((self.x + 0.5) * scale - 0.5, (self.y + 0.5) * scale - 0.5, self.side * scale, self.rotation)
