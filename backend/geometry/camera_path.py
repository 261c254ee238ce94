"""The path of a moving camera: extrinsics and intrinsics per frame, from one common frame.

The common frame has OpenCV's axes (x right, y down, z forward) and is level: the ground is y = 0, up is -y.
`backend.structures.World` transforms it to Blender's world.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class View:
    """T frames: x_camera = rotation @ x + translation, px = focal * x_camera / z + center."""

    rotation: np.ndarray  # (T, 3, 3) common frame -> camera
    translation: np.ndarray  # (T, 3) m
    focal: np.ndarray  # (T, 2) px
    center: np.ndarray  # (T, 2) px

    def __len__(self) -> int:
        return len(self.rotation)

    def __getitem__(self, rows: slice | np.ndarray) -> View:
        return View(self.rotation[rows], self.translation[rows], self.focal[rows], self.center[rows])

    @property
    def positions(self) -> np.ndarray:
        """(T, 3) camera centres in the common frame, m."""
        return -(np.swapaxes(self.rotation, 1, 2) @ self.translation[..., None])[..., 0]

    @property
    def level_rotation(self) -> np.ndarray:
        """(T, 3, 3) common frame -> axes of the camera without pitch and roll: x right, y down, z forward."""
        forward = self.rotation[:, 2] * [1.0, 0.0, 1.0]
        # for a camera that looks straight down, forward is where the top of the image points
        steep = np.linalg.norm(forward, axis=1) < 1e-3
        forward[steep] = -np.sign(self.rotation[steep, 2, 1:2]) * self.rotation[steep, 1] * [1.0, 0.0, 1.0]
        forward /= np.linalg.norm(forward, axis=1, keepdims=True)
        down = np.broadcast_to([0.0, 1.0, 0.0], forward.shape)
        return np.stack([np.cross(down, forward), down, forward], 1)

    def points(self, points: np.ndarray) -> np.ndarray:
        """(T, K, 3) m, common frame -> (T, K, 3) m, camera frames."""
        return points @ np.swapaxes(self.rotation, 1, 2) + self.translation[:, None]

    def project(self, points: np.ndarray, min_depth: float = 1e-3) -> np.ndarray:
        """(T, K, 3) common frame, m -> (T, K, 2) px."""
        in_camera = self.points(points)
        depth = np.maximum(in_camera[..., 2:], min_depth)
        return in_camera[..., :2] / depth * self.focal[:, None] + self.center[:, None]
