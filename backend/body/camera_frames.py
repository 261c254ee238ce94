"""Bodies converted between camera frames: to the common frame of a moving camera, or to other intrinsics."""

from __future__ import annotations

import numpy as np

from backend.body.kinematics import Skeleton, State
from backend.geometry.camera_path import View


def root_joint(skeleton: Skeleton, betas: np.ndarray) -> np.ndarray:
    """betas (T, B) -> (T, 3) root joint in the rest pose, m.  The body rotates about it, not about the origin."""
    return skeleton.joints[0] + betas @ skeleton.joint_directions[0].T


def to_common_frame(view: View, skeleton: Skeleton, state: State) -> State:
    """Bodies in the common frame.  state: T bodies, each in the camera frame of its row of the view."""
    root = root_joint(skeleton, state.betas)
    back = np.swapaxes(view.rotation, 1, 2)
    rotations = state.rotations.copy()
    rotations[:, 0] = back @ rotations[:, 0]
    position = (back @ (root + state.trans - view.translation)[..., None])[..., 0]
    return State(rotations, state.betas, position - root)


def with_intrinsics(view: View, skeleton: Skeleton, state: State, focal: np.ndarray, center: np.ndarray) -> State:
    """Bodies that project with the view's intrinsics as `state` does with `focal` (2,) and `center` (2,), px.

    Pixel position and size in the image stay: depth is proportional to the focal length, and the body rotates with the
    ray to its root.
    """
    root = root_joint(skeleton, state.betas)
    position = root + state.trans
    depth = np.maximum(position[:, 2:], 1e-3)
    flat = position[:, :2] / depth
    ray = (flat * focal + center - view.center) / view.focal
    deeper = depth * view.focal.mean(1, keepdims=True) / focal.mean()
    rotations = state.rotations.copy()
    rotations[:, 0] = _rotations_to_rays(ray) @ np.swapaxes(_rotations_to_rays(flat), 1, 2) @ rotations[:, 0]
    return State(rotations, state.betas, np.concatenate([ray * deeper, deeper], 1) - root)


def _rotations_to_rays(flat: np.ndarray) -> np.ndarray:
    """(T, 2) x / z, y / z -> (T, 3, 3) ray rotations: the smallest from the optical axis to that ray."""
    ray = np.concatenate([flat, np.ones((len(flat), 1))], 1)
    x, y, z = (ray / np.linalg.norm(ray, axis=1, keepdims=True)).T
    part = 1 / (1 + z)
    rows = [[1 - x * x * part, -x * y * part, x], [-x * y * part, 1 - y * y * part, y], [-x, -y, z]]
    return np.moveaxis(np.array(rows), -1, 0)
