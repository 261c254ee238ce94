"""METRO's crops: the rotated square around a person, and the position of image points in it.

As `tests/parity` shows: integer corners, no anti-aliasing, rotation of a padded crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from backend.errors import BadInput

_MAX_SIDE = 20_000  # px: a larger box is taken for a corrupt label; origin not recorded


@dataclass(frozen=True)
class CropWindow:
    """The window of a crop in the image.

    center (2,) px; side px of the square box (its longer side, where the network's input is not square); size (H, W)
    px of the network's input; rotation degrees."""

    center: np.ndarray
    side: float
    size: tuple[int, int]
    rotation: float = 0.0

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3): px in the image, 0 at the first pixel -> px in the crop, before truncation."""
        height, width = self.size
        longer = max(height, width)
        box = np.array([width, height]) * self.side / longer
        out = np.eye(3)
        out[0, 0], out[1, 1] = width / box[0], height / box[1]
        out[:2, 2] = self.size[::-1] * (-np.asarray(self.center, np.float64) / box + 0.5)
        if self.rotation:
            angle = -np.deg2rad(self.rotation)
            rotation_matrix = np.eye(3)
            rotation_matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
            to_origin, from_origin = np.eye(3), np.eye(3)
            to_origin[:2, 2], from_origin[:2, 2] = (-width / 2, -height / 2), (width / 2, height / 2)
            out = from_origin @ rotation_matrix @ to_origin @ out
        return out

    @property
    def corners(self) -> np.ndarray:
        """(2, 2) int: first pixel and one past the last, x y, of the box before rotation; truncated toward 0.

        Raises BadInput `bad_label` for a box that is empty or too large.
        """
        upright = CropWindow(self.center, self.side, self.size)
        inverse = np.linalg.inv(upright.matrix)
        height, width = self.size
        ends = [(inverse @ [0.0, 0.0, 1.0])[:2], (inverse @ [width, height, 1.0])[:2]]
        corners = np.array(ends).astype(int)
        if (corners[1] - corners[0] < 1).any() or (corners[1] - corners[0] > _MAX_SIDE).any():
            raise BadInput(
                "bad_label",
                f"A box of {self.side:.3g} px at {np.round(self.center, 1)} cannot be cut out.",
                "Center and scale must be of a person; run check-data.",
            )
        return corners

    def crop(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) -> float64 (size, 3), 0..255; black where there is no image."""
        low, high = self.corners
        pad = 0
        if self.rotation:
            # a rotated box needs pixels from outside at its corners
            extent = high - low
            pad = int(np.linalg.norm(extent) / 2 - float(extent.min()) / 2)
        crop = _padded_window(pixels, low - pad, high + pad)
        if self.rotation:
            height, width = crop.shape[:2]
            rotation_matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), self.rotation, 1.0)
            crop = cv2.warpAffine(crop, rotation_matrix, (width, height))
            if pad:
                crop = crop[pad:-pad, pad:-pad]
        return cv2.resize(crop, self.size[::-1], interpolation=cv2.INTER_LINEAR)

    def transform(self, points: np.ndarray, truncate: bool = True) -> np.ndarray:
        """Points (K, 2) px of the image in the crop's units, whose longer side spans [-1, 1].

        truncate: as the originals, to whole pixels, one pixel up and left of the content; else where `crop` maps it.
        """
        height, width = self.size
        points = np.asarray(points, np.float64)
        if truncate:
            matrix = self.matrix
            moved = (points @ matrix[:2, :2].T + matrix[:2, 2]).astype(int) + 1.0
        else:
            low, high = self.corners
            middle = (low + high) / 2
            angle = np.deg2rad(self.rotation)
            # counter-clockwise as seen, since y is down
            rotation_matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            moved = (points + 0.5 - middle) @ rotation_matrix.T + middle
            moved = (moved - low) * np.array([width, height]) / (high - low)
        return (2 * moved - [width, height]) / max(height, width)


def _padded_window(pixels: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The pixels from low to high (x y), float64; zeros outside the image."""
    height, width = pixels.shape[:2]
    out = np.zeros((high[1] - low[1], high[0] - low[0], 3))
    first = np.clip(low, 0, [width, height])
    last = np.clip(high, 0, [width, height])
    if (last > first).all():
        (x0, y0), (x1, y1) = first - low, last - low
        out[y0:y1, x0:x1] = pixels[first[1] : last[1], first[0] : last[0]]
    return out
