# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's motion as arrays, and the joints and bone rotations that it gives.  No bpy here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..protocol_rows import MotionRows
from . import basis
from .records import Body


@dataclass(frozen=True)
class Motion(MotionRows):
    """The motion of one person through a clip, T rows in the order of their frames."""

    betas: np.ndarray  # (B,)


@dataclass(frozen=True)
class World:
    """The transform from the camera frame to the world.

    x_world = rotation @ x_camera + translation: z up, ground at z = 0, metres.

    scale: units of the scene per metre; sizes and positions of objects are multiplied by it.
    """

    rotation: np.ndarray  # (3, 3)
    translation: np.ndarray  # (3,)
    scale: float = 1.0

    @classmethod
    def level(cls, camera_height: float = 0.0) -> World:
        """The world of a level camera `camera_height` m above the origin."""
        return cls(basis.CAMERA_TO_BLENDER, np.array([0.0, 0.0, camera_height]))

    @classmethod
    def from_wire(cls, numbers: list[float], scale: float = 1.0) -> World:
        """From the protocol's 12 numbers: rotation (row by row) and translation."""
        return cls(np.array(numbers[:9], float).reshape(3, 3), np.array(numbers[9:], float), scale)

    def points(self, camera_points: np.ndarray) -> np.ndarray:
        """(..., 3) camera frame -> world."""
        return np.asarray(camera_points, float) @ self.rotation.T + self.translation


def joints(body: Body, motion: Motion, world: World) -> np.ndarray:
    """(T, J, 3) joint positions in the world, m."""
    rest = body.rest_joints(motion.betas).astype(float)
    local = basis.rotation_matrices(motion.poses)
    rotations, positions = np.empty_like(local), np.empty(motion.poses.shape)
    rotations[:, 0], positions[:, 0] = local[:, 0], rest[0] + motion.trans
    for j in range(1, len(rest)):
        p = int(body.parents[j])
        rotations[:, j] = rotations[:, p] @ local[:, j]
        positions[:, j] = positions[:, p] + rotations[:, p] @ (rest[j] - rest[p])
    return world.points(positions)
