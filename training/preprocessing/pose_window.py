"""Pose2Mesh's window of 288 x 384 px, into which a 2D pose is mapped before it is normalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.errors import BadInput

SIZE = np.array([288.0, 384.0])  # width, height px


def pose_box(points: np.ndarray) -> np.ndarray:
    """The tight box (4,) float32, x y width height, of points (K, 2) px."""
    low, high = points.min(0), points.max(0)
    return np.concatenate([low, high - low]).astype(np.float32)


def window_box(box: np.ndarray, aspect: float = SIZE[0] / SIZE[1], scale: float = 1.0) -> np.ndarray:
    """The box x y width height extended about its midpoint to `aspect` (width over height), float32.

    Width and height are reduced by a pixel first, as in the original.  Raises BadInput `flat_pose` for an empty box.
    """
    x, y, width, height = np.asarray(box, np.float64)
    width, height = width - 1, height - 1
    if not (width > 0 and height > 0):
        raise BadInput(
            "flat_pose",
            f"A 2D pose of {max(width, 0) + 1:.3g} x {max(height, 0) + 1:.3g} px is too flat to recover a body from.",
            "Give all joints, in pixels.",
        )
    middle = np.array([x + width / 2, y + height / 2])
    size = np.array([max(width, height * aspect), max(height, width / aspect)]) * scale
    return np.concatenate([middle - size / 2, size]).astype(np.float32)


@dataclass(frozen=True)
class PoseWindow:
    """The window of a 2D pose in the image.

    box: of `window_box`, px.  rotation: degrees, about its midpoint, counter-clockwise as seen.
    """

    box: np.ndarray
    rotation: float = 0.0

    @property
    def matrix(self) -> np.ndarray:
        """Affine matrix (2, 3) float64, px of the image -> px of the window."""
        box = np.asarray(self.box, np.float64)
        angle, factor = np.deg2rad(self.rotation), SIZE[0] / box[2]
        rotation_matrix = factor * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        middle = box[:2] + box[2:] / 2
        return np.concatenate([rotation_matrix, (SIZE / 2 - rotation_matrix @ middle)[:, None]], 1)

    def transform(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2), px of the image -> px of the window, float32."""
        matrix = self.matrix
        return (np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)

    def area(self, box: np.ndarray) -> float:
        """The area, px^2 of the window, of a box x y width height in the image."""
        x, y, width, height = np.asarray(box, np.float64)
        corners = self.transform(np.array([[x, y], [x + width, y], [x + width, y + height]])).astype(np.float64)
        return float(np.prod(np.linalg.norm(np.diff(corners, axis=0), axis=1)))


def mirrored2d(points: np.ndarray, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Points (K, 2) px of the window, mirrored, with left and right joints swapped."""
    out = np.array(points)
    out[:, 0] = SIZE[0] - 1 - out[:, 0]
    return _swap_sides(out, pairs)


def rotated3d(joints: np.ndarray, rotation: float, flip: bool, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Root-relative joints (K, 3), float32, rotated as the window (degrees) and mirrored where `flip`."""
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
