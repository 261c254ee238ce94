# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations, and the change of basis from the body and camera frames to Blender's axes.

Body frame (SMPL): y up, faces +z, the person's left is +x.  Camera frame (OpenCV): x right, y down, z forward.
Blender: z up, a person faces -y, a camera at the origin looks along +y.  Metres and radians.
"""

from __future__ import annotations

import numpy as np

BODY_TO_BLENDER = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # (x, y, z) -> (x, -z, y)
CAMERA_TO_BLENDER = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])  # (x, y, z) -> (x, z, -y)


def body_points(points: np.ndarray) -> np.ndarray:
    """(..., 3) points or offsets of the body frame -> Blender's axes."""
    return np.asarray(points, np.float64) @ BODY_TO_BLENDER.T


def camera_points(points: np.ndarray) -> np.ndarray:
    """(..., 3) points or offsets of the camera frame -> Blender's axes, the camera at the origin."""
    return np.asarray(points, np.float64) @ CAMERA_TO_BLENDER.T


def rotation_matrices(axis_angle: np.ndarray) -> np.ndarray:
    """(..., 3) axis-angle -> (..., 3, 3), by Rodrigues' formula."""
    vector = np.asarray(axis_angle, np.float64)
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vector.shape[:-1], 3, 3)
    # sin(a)/a and (1 - cos(a))/a^2, by sinc, which is finite at 0
    first = np.sinc(angle / np.pi)
    second = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.eye(3) + first * cross + second * (cross @ cross)


def quaternions(matrices: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotations -> (..., 4) unit quaternions w x y z with w >= 0.

    Of the four candidates, each scaled by one component, the one with the largest component is taken, so that no
    rotation divides by a small number, not even one by 180°.
    """
    m = np.asarray(matrices, np.float64)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    squares = np.stack([1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz], -1)
    rows = np.stack(
        [
            np.stack([squares[..., 0], a, b, c], -1),
            np.stack([a, squares[..., 1], d, e], -1),
            np.stack([b, d, squares[..., 2], f], -1),
            np.stack([c, e, f, squares[..., 3]], -1),
        ],
        -2,
    )
    best = squares.argmax(-1)[..., None, None]
    q = np.take_along_axis(rows, best, -2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q)


def axis_angles(quaternions: np.ndarray) -> np.ndarray:
    """(..., 4) quaternions w x y z of any length > 0 -> (..., 3) axis-angle of at most 180°."""
    q = np.where(quaternions[..., :1] < 0, -quaternions, quaternions)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., :1])
    # the limit of angle / sine at 0 is 2 / w
    return q[..., 1:] * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2 / q[..., :1].clip(1e-12))


def bone_rotations(pose: np.ndarray, bone_axes: np.ndarray, to_world: np.ndarray = CAMERA_TO_BLENDER) -> np.ndarray:
    """Rotations of the pose bones for poses: (..., J, 4) quaternions w x y z.

    pose: (..., J, 3) axis-angle, parent-relative; joint 0 rotates the body frame into the camera frame.
    bone_axes: (J, 3, 3) rest axes of the bones as columns, in Blender's axes.  to_world: (3, 3) rotation from the
    camera frame to Blender's world.
    """
    rotations = rotation_matrices(pose)
    in_blender = BODY_TO_BLENDER @ rotations @ BODY_TO_BLENDER.T
    in_blender[..., 0, :, :] = to_world @ rotations[..., 0, :, :] @ BODY_TO_BLENDER.T
    return quaternions(np.swapaxes(bone_axes, -1, -2) @ in_blender @ bone_axes)


def continuous_quaternions(rotations: np.ndarray) -> np.ndarray:
    """(T, ..., 4) the same rotations; of q and -q the one nearer to the quaternion before."""
    flips = np.where((rotations[1:] * rotations[:-1]).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    signs = np.concatenate([np.ones_like(rotations[:1, ..., :1]), np.cumprod(flips, axis=0)])
    return rotations * signs
