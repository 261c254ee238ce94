"""The 288 x 384 window that Pose2Mesh puts a 2D pose in before it normalises it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.errors import BadInput

SIZE = np.array([288.0, 384.0])  # width, height px


def pose_box(points: np.ndarray) -> np.ndarray:
    """(K, 2) px -> (4,) float32 x y width height around all of them."""
    low, high = points.min(0), points.max(0)
    return np.concatenate([low, high - low]).astype(np.float32)


def window_box(box: np.ndarray, aspect: float = SIZE[0] / SIZE[1], scale: float = 1.0) -> np.ndarray:
    """x y width height -> the same with that aspect (width over height) about its middle, float32.

    A pixel is taken off both sides first, as the original does.  Raises BadInput `flat_pose` where nothing is left.
    """
    x, y, width, height = np.asarray(box, np.float64)
    width, height = width - 1, height - 1
    if not (width > 0 and height > 0):
        raise BadInput(
            "flat_pose",
            f"A 2D pose is {max(width, 0) + 1:.3g} x {max(height, 0) + 1:.3g} px: nothing can be recovered from that.",
            "Every joint must be given, in pixels.",
        )
    middle = np.array([x + width / 2, y + height / 2])
    size = np.array([max(width, height * aspect), max(height, width / aspect)]) * scale
    return np.concatenate([middle - size / 2, size]).astype(np.float32)


@dataclass(frozen=True)
class PoseWindow:
    """box: of `window_box`, px.  rotation: degrees, about its middle, counter-clockwise as seen."""

    box: np.ndarray
    rotation: float = 0.0

    @property
    def matrix(self) -> np.ndarray:
        """(2, 3) float64: image -> window."""
        box = np.asarray(self.box, np.float64)
        angle, factor = np.deg2rad(self.rotation), SIZE[0] / box[2]
        rotation_matrix = factor * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        middle = box[:2] + box[2:] / 2
        return np.concatenate([rotation_matrix, (SIZE / 2 - rotation_matrix @ middle)[:, None]], 1)

    def transform(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) px -> in the window, float32."""
        matrix = self.matrix
        return (np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)

    def area(self, box: np.ndarray) -> float:
        """px^2 in the window of a box of the image."""
        x, y, width, height = np.asarray(box, np.float64)
        corners = self.transform(np.array([[x, y], [x + width, y], [x + width, y + height]])).astype(np.float64)
        return float(np.prod(np.linalg.norm(np.diff(corners, axis=0), axis=1)))


def mirrored2d(points: np.ndarray, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    """(K, 2) in the window -> left to right, with the joints exchanged."""
    out = np.array(points)
    out[:, 0] = SIZE[0] - 1 - out[:, 0]
    return _swap_sides(out, pairs)


def rotated3d(joints: np.ndarray, rotation: float, flip: bool, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    """(K, 3) about the root -> turned with the window, and mirrored."""
    angle = np.deg2rad(-rotation)
    rotation_matrix = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    out = np.asarray(joints, np.float64) @ rotation_matrix.T
    if flip:
        out = _swap_sides(out * [-1, 1, 1], pairs)
    return out.astype(np.float32)


def _swap_sides(points: np.ndarray, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    out = points.copy()
    for a, b in pairs:
        out[[a, b]] = points[[b, a]]
    return out
