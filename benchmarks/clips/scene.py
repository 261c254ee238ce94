"""A synthetic clip's people, camera and world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.geometry.camera_path import View
from backend.structures import Camera, World


@dataclass
class GroundTruth:
    """One person, in the camera frame; in the common frame where the camera moves."""

    poses: np.ndarray  # (T, 24, 3)
    betas: np.ndarray  # (10,)
    trans: np.ndarray  # (T, 3)
    joints: np.ndarray  # (T, 24, 3)
    contacts: np.ndarray  # (T, 2) left, right
    clothing: int = 0


@dataclass
class Scene:
    """A clip's people, camera and world."""

    people: list[GroundTruth]
    camera: Camera
    world: World
    fps: float
    pillar: tuple[float, float, float] | None = None  # an occluder's left and right edge (x) and depth, m, camera frame
    view: View | None = None  # per frame, where the camera moves
