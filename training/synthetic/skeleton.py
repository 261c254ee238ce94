"""Batched forward kinematics of joints and of points rigid to them: numpy, float32, without vertices.

Samples are the last axis: rotations (J, 3, 3, n), positions (J, 3, n).
"""

from __future__ import annotations

import numpy as np

from backend.body.joint_sets import BLAZEPOSE33
from backend.body.landmarks import blazepose_rows
from backend.body.model import BodyModel

_BLAZEPOSE_JOINT = {
    "shoulder": "collar", "elbow": "shoulder", "wrist": "elbow", "pinky": "wrist", "index": "wrist", "thumb": "wrist",
    "knee": "hip", "ankle": "knee", "heel": "ankle",
}  # fmt: skip

_BLOCK = 1024  # samples at once, to fit into a core's cache


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrices a (..., 3, 3, n) times b (..., 3, k, n)."""
    return (
        a[..., :, 0, None, :] * b[..., None, 0, :, :]
        + a[..., :, 1, None, :] * b[..., None, 1, :, :]
        + a[..., :, 2, None, :] * b[..., None, 2, :, :]
    )


def rotate(a: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3, n) times vectors (..., 3, n)."""
    return matmul(a, v[..., None, :])[..., 0, :]


def inverse_rotation(a: np.ndarray) -> np.ndarray:
    """The inverse (..., 3, 3, n) of rotations."""
    return np.swapaxes(a, -2, -3)


class RigidPoints:
    """K points, each fixed to one joint.  rest (K, 3) m, directions (K, 3, B) m per beta, joint (K,)."""

    def __init__(self, rest: np.ndarray, directions: np.ndarray, joint: np.ndarray) -> None:
        self.rest, self.directions = rest.astype(np.float32), directions.astype(np.float32)
        self.joint = joint


def _affine(rest: np.ndarray, directions: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """(K, 3, n) m: rest + directions betas."""
    moved = directions.reshape(-1, directions.shape[2]) @ np.ascontiguousarray(betas.T, np.float32)
    return rest[..., None] + moved.reshape(*rest.shape, len(betas))


class Skeleton:
    """Forward kinematics of one body."""

    def __init__(self, body: BodyModel) -> None:
        self.names, self.parents = body.joint_names, body.parents
        self.joints = body.joints_template.double().cpu().numpy().astype(np.float32)
        self.joint_shapedirs = body.joints_shapedirs.double().cpu().numpy().astype(np.float32)
        self.template = body.v_template.double().cpu().numpy()
        self._shapedirs = body.shapedirs.double().cpu().numpy()

    def rest(self, betas: np.ndarray) -> np.ndarray:
        """(J, 3, n) m: joints of the unposed body, from betas (n, B)."""
        return _affine(self.joints, self.joint_shapedirs, betas)

    def forward(self, rotations: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Global rotations (J, 3, 3, n) and joints (J, 3, n) m of rotations (J, 3, 3, n) and rest joints (J, 3, n)."""
        global_rotations, joints = np.empty_like(rotations), np.empty_like(rest)
        for start in range(0, rest.shape[-1], _BLOCK):
            rows = slice(start, start + _BLOCK)
            self._forward(rotations[..., rows], rest[..., rows], global_rotations[..., rows], joints[..., rows])
        return global_rotations, joints

    def _forward(
        self, rotations: np.ndarray, rest: np.ndarray, global_rotations: np.ndarray, joints: np.ndarray
    ) -> None:
        global_rotations[0], joints[0] = rotations[0], rest[0]
        for j in range(1, len(self.parents)):
            p = self.parents[j]
            global_rotations[j] = matmul(global_rotations[p], rotations[j])
            joints[j] = joints[p] + rotate(global_rotations[p], rest[j] - rest[p])

    def points(
        self,
        on: RigidPoints,
        betas: np.ndarray,
        rest: np.ndarray,
        global_rotations: np.ndarray,
        joints: np.ndarray,
    ) -> np.ndarray:
        """(K, 3, n) m: the posed points, in the frame of `global_rotations` and `joints`."""
        offsets = _affine(on.rest, on.directions, betas) - rest[on.joint]
        points = np.empty_like(offsets)
        for k, j in enumerate(on.joint):
            points[k] = joints[j] + rotate(global_rotations[j], offsets[k])
        return points

    def rigid(self, regressor: np.ndarray, joints: list[str]) -> RigidPoints:
        """The points that a regressor (K, V) gives, fixed to the named joints."""
        regressor = np.asarray(regressor, np.float64)
        index = np.array([self.names.index(name) for name in joints])
        return RigidPoints(regressor @ self.template, np.einsum("kv,vcb->kcb", regressor, self._shapedirs), index)


def blazepose_points(body: BodyModel, skeleton: Skeleton) -> RigidPoints:
    """MediaPipe's 33 landmarks, each fixed to one joint, as in backend.body.landmarks."""
    joints = []
    for name in BLAZEPOSE33:
        side, _, part = name.partition("_")
        if name.endswith("foot_index"):
            joints.append(f"{side}_ankle")
        elif part == "hip":
            joints.append("pelvis")
        else:
            joints.append(f"{side}_{_BLAZEPOSE_JOINT[part]}" if part in _BLAZEPOSE_JOINT else "head")
    rows = blazepose_rows(body)
    assert rows is not None, "the body has a regressor of MediaPipe's landmarks"
    return skeleton.rigid(rows, joints)
