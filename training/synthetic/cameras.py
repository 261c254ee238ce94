"""Random cameras: focal length, height, pitch, roll and distance, chosen for the person in view.

World: y up, floor at y = 0.  Camera frame: OpenCV (x right, y down, z forward).  Pixel centres at integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class View:
    """A random camera.  x_camera = rotation @ x_world + translation; camera: fx fy cx cy px."""

    rotation: np.ndarray  # (3, 3)
    translation: np.ndarray  # (3,) m
    camera: np.ndarray  # (4,)

    def to_camera(self, world: np.ndarray) -> np.ndarray:
        """world (n, 3) m -> (n, 3) m in the camera frame."""
        return world @ self.rotation.T + self.translation

    def project(self, points: np.ndarray) -> np.ndarray:
        """points (n, 3) in the camera frame -> (n, 2) px."""
        fx, fy, cx, cy = self.camera
        z = np.maximum(points[:, 2], 1e-3)
        return np.stack([fx * points[:, 0] / z + cx, fy * points[:, 1] / z + cy], 1)

    @property
    def up(self) -> np.ndarray:
        """(3,) the world's up in the camera frame."""
        return self.rotation[:, 1]

    @property
    def height(self) -> float:
        """Height of the camera above the floor, m."""
        return float(-self.up @ self.translation)


def camera_rotation(pitch: float, roll: float) -> np.ndarray:
    """(3, 3) world -> camera: looking along the world's -z, pitched down by `pitch`, then rolled by `roll`, rad."""
    (c, s), (k, m) = (np.cos(pitch), np.sin(pitch)), (np.cos(roll), np.sin(roll))
    tilt = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    roll_rotation = np.array([[k, -m, 0], [m, k, 0], [0, 0, 1]])
    return roll_rotation @ tilt @ np.diag([1.0, -1.0, -1.0])


def sample_view(rng: np.random.Generator, world: np.ndarray, size: int) -> View:
    """Random camera for a person with surface points `world` (n, 3) m, in a square image of `size` px.

    Four of five people are entirely in the image; the border truncates the others, as in close-ups.
    """
    focal = size * 0.8 * (2.5 / 0.8) ** rng.random()
    pitch = np.clip(rng.normal(0.12, 0.2), -0.3, 0.9)
    roll = rng.normal(0, 0.07)
    cut = rng.random() < 0.2
    share = rng.uniform(1.1, 1.9) if cut else rng.uniform(0.65, 0.97)
    middle = (world.min(0) + world.max(0)) / 2
    reach = float(np.linalg.norm(world - middle, axis=1).max())
    distance = focal * 2 * reach / (size * share)
    jitter = rng.uniform(-1, 1, 2) * size * (0.5 * max(1 - share, 0.04))
    # truncation is more often at the bottom or side than at the top
    toward = np.array([rng.normal(0, 0.15), rng.uniform(-0.1, 0.4)]) * (share * size * 0.5) if cut else np.zeros(2)
    rotation = camera_rotation(pitch, roll)
    # keep the camera above the floor
    lowest = (0.15 - middle[1]) / max(distance, 0.5)
    if pitch < np.arcsin(np.clip(lowest, -1, 1)):
        rotation = camera_rotation(float(np.arcsin(np.clip(lowest, -1, 1))), roll)
    rotated = (world - middle) @ rotation.T
    center = (size - 1) / 2
    shift = np.zeros(2)
    for _ in range(4):
        distance = max(distance, reach + 0.25)
        z = rotated[:, 2] + distance
        uv = focal * (rotated[:, :2] + shift) / z[:, None]
        low, high = uv.min(0), uv.max(0)
        distance *= max(float((high - low).max()) / (size * share), 0.3)
        shift -= (low + high) / 2 * distance / focal - (jitter + toward) * distance / focal
    distance = max(distance, reach + 0.25)
    translation = np.array([*shift, distance]) - rotation @ middle
    return View(rotation, translation, np.array([focal, focal, center, center]))
