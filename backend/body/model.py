"""The body model: linear blend skinning with shape and pose blend shapes, for any SMPL-format body.

Loper et al., "SMPL: A Skinned Multi-Person Linear Model", SIGGRAPH Asia 2015, section 3.  For SMPL (24 joints), MANO
(16 joints, Romero et al. 2017) and our open bodies alike: the numbers of vertices, joints and betas are the arrays'.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from backend.body.arrays import BodyArrays
from backend.geometry.rotations import matrix_from_axis_angle


class BodyOutput(NamedTuple):
    """N posed bodies.

    vertices (N, V, 3), joints (N, J, 3): m, in the frame into which joint 0 rotates (the camera's, if recovered).
    """

    vertices: torch.Tensor
    joints: torch.Tensor


class BodyModel(torch.nn.Module):
    """A body model, batched and differentiable.  Buffers and regressors follow `.to(device, dtype)`."""

    v_template: torch.Tensor
    faces: torch.Tensor
    shapedirs: torch.Tensor
    posedirs: torch.Tensor
    joint_regressor: torch.Tensor
    weights: torch.Tensor
    joints_template: torch.Tensor
    joints_shapedirs: torch.Tensor

    def __init__(self, arrays: BodyArrays, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.name = arrays.name
        self.license = arrays.license
        self.joint_names = arrays.joint_names
        self.parents = arrays.parents
        self.num_betas = arrays.shapedirs.shape[2]
        self.mirror = arrays.mirror
        self.uv, self.uv_faces, self.part_ids = arrays.uv, arrays.uv_faces, arrays.part_ids
        self.hand_components, self.hand_mean = arrays.hand_components, arrays.hand_mean

        def constant(name: str, value: np.ndarray) -> None:
            self.register_buffer(name, torch.as_tensor(np.ascontiguousarray(value), dtype=dtype), persistent=False)

        for name in ("v_template", "shapedirs", "posedirs", "joint_regressor", "weights"):
            constant(name, getattr(arrays, name))
        self.register_buffer("faces", torch.as_tensor(arrays.faces), persistent=False)
        # joints are linear in betas, so they need no vertices: (J, 3) and (J, 3, B)
        constant("joints_template", arrays.joint_regressor @ arrays.v_template)
        constant("joints_shapedirs", np.einsum("jv,vkb->jkb", arrays.joint_regressor, arrays.shapedirs))
        self.regressors = {
            name: torch.as_tensor(np.ascontiguousarray(value), dtype=dtype) for name, value in arrays.regressors.items()
        }
        self._has_correctives = bool(np.any(arrays.posedirs))

    def _apply(self, fn: Any, recurse: bool = True) -> BodyModel:
        super()._apply(fn, recurse)
        for name, value in self.regressors.items():  # a dict cannot be a buffer
            self.regressors[name] = fn(value)
        return self

    def rest_joints(self, betas: torch.Tensor) -> torch.Tensor:
        """betas (N, B) -> joints in the rest pose (N, J, 3), m."""
        return self.joints_template + torch.einsum("jkb,nb->njk", self.joints_shapedirs, betas)

    def pose_joints(self, rotations: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
        """rotations (N, J, 3, 3), betas (N, B) -> joints (N, J, 3), m, as `forward` without `trans` gives them."""
        return self.chain(rotations, self.rest_joints(betas))[1]

    def forward(
        self,
        poses: torch.Tensor | None,
        betas: torch.Tensor,
        trans: torch.Tensor | None = None,
        *,
        rotations: torch.Tensor | None = None,
    ) -> BodyOutput:
        """The posed and shaped body.

        poses: (N, J, 3) axis-angle, parent-relative, rad; or rotations: (N, J, 3, 3) with poses None.
        betas: (N, B).  trans: (N, 3) m, added after skinning.
        """
        if rotations is None:
            assert poses is not None, "give poses or rotations"
            rotations = matrix_from_axis_angle(poses)
        count = len(rotations)
        vertices = self.v_template + (self.shapedirs.flatten(0, 1) @ betas.T).T.reshape(count, -1, 3)
        if self._has_correctives:
            identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
            features = (rotations[:, 1:] - identity).flatten(1)
            vertices = vertices + (self.posedirs.flatten(0, 1) @ features.T).T.reshape(count, -1, 3)
        rest = self.rest_joints(betas)
        global_rotations, joints = self.chain(rotations, rest)
        # transform of each joint: rotation about the origin, then translation
        shifts = joints - (global_rotations @ rest[..., None])[..., 0]
        transforms = torch.cat([global_rotations, shifts[..., None]], -1).flatten(2)  # (N, J, 12)
        blended = (self.weights @ transforms).unflatten(-1, (3, 4))  # (N, V, 3, 4)
        vertices = (blended[..., :3] @ vertices[..., None])[..., 0] + blended[..., 3]
        if trans is not None:
            vertices, joints = vertices + trans[:, None], joints + trans[:, None]
        return BodyOutput(vertices, joints)

    def chain(self, rotations: torch.Tensor, rest: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Forward kinematics: rotations (N, J, 3, 3), rest joints (N, J, 3) -> global rotations, joints."""
        global_rotations: list[torch.Tensor] = [rotations[:, 0]]
        joints: list[torch.Tensor] = [rest[:, 0]]
        for j in range(1, len(self.parents)):
            p = int(self.parents[j])
            offset = rest[:, j] - rest[:, p]
            joints.append(joints[p] + (global_rotations[p] @ offset[..., None])[..., 0])
            global_rotations.append(global_rotations[p] @ rotations[:, j])
        return torch.stack(global_rotations, 1), torch.stack(joints, 1)
