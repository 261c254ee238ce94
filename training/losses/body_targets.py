"""Turns prepared batches into targets: meshes and joints of the labels' body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import scipy.sparse as sp
import torch
from torch import Tensor, nn

from backend.body.joint_sets import H36M17_TO_J14
from backend.body.mesh_levels import SparseMatrix
from backend.body.model import BodyModel
from backend.errors import BadInput
from backend.geometry.rotations import matrix_from_axis_angle
from training.datasets.joint_sets import MANO21_TO_HAND21, MANO_TIPS, METRO24_TO_J14
from training.losses.mesh_targets import MeshTargets

GENDERS = ("neutral", "male", "female")  # a prepared sample's `gender` is an index into this

# names of a body's joint regressors for Human3.6M's 17 joints
EvaluationRegressor = Literal["h36m17", "h36m17_3dpw"]


class BodyTargets(nn.Module):
    """Batches of `training.preprocessing.metro_style.MetroPreparer` -> `MeshTargets` of bodies, with 14 joints.

    Meshes are relative to the pelvis by the regressor (17, V) of Human3.6M's joints on the full mesh, as upstream.
    downs: downsampling matrices, finest first.
    gendered: bodies for "male" and "female"; None: the neutral body model for all samples, as upstream, also for those
    of 3DPW, which have a gender.  Raises BadInput `body_mismatch`.
    """

    regressor: Tensor

    def __init__(
        self,
        body: BodyModel,
        regressor: Tensor,
        downs: Sequence[sp.spmatrix] = (),
        gendered: Mapping[str, BodyModel] | None = None,
    ) -> None:
        super().__init__()
        if regressor.shape != (17, len(body.v_template)):
            raise BadInput(
                "body_mismatch",
                f"The joint regressor is {tuple(regressor.shape)}, the body {body.name!r} needs (17, "
                f"{len(body.v_template)}).",
                "Take the regressor of Human3.6M's 17 joints that belongs to this body.",
            )
        self.body = body
        self.gendered = nn.ModuleDict(dict(gendered or {}))
        self.register_buffer("regressor", regressor.detach().float(), persistent=False)
        self.downs = nn.ModuleList(SparseMatrix(down) for down in downs)

    @torch.no_grad()
    def forward(self, batch: Mapping[str, Tensor]) -> MeshTargets:
        rotations = matrix_from_axis_angle(batch["pose"].unflatten(1, (-1, 3)))
        betas = batch["betas"]
        vertices = pose_by_gender(self.body, self.gendered, rotations, batch)
        vertices = vertices - (self.regressor[:1] @ vertices)
        j14 = list(METRO24_TO_J14)
        return MeshTargets(
            joints3d=batch["joints3d"][:, j14],
            joints2d=batch["joints2d"][:, j14],
            meshes=mesh_pyramid(vertices, self.downs),
            rotations=rotations,
            betas=betas,
            has_3d=batch["has_3d"].bool(),
            has_2d=batch["has_2d"].bool(),
            has_mesh=batch["has_mesh"].bool(),
        )

    def mesh_joints(self, vertices: Tensor) -> tuple[Tensor, Tensor]:
        """The 14 joints (N, 14, 3) and pelvis (N, 1, 3) of vertices (N, V, 3), by the regressor."""
        joints = self.regressor @ vertices
        return joints[:, list(H36M17_TO_J14)], joints[:, :1]


class HandTargets(nn.Module):
    """Batches of hands -> `MeshTargets` with FreiHAND's 21 joints, all relative to the wrist.

    Joints are regressed from the labels' mesh, so that a sample with a mesh has all labels.
    """

    regressor: Tensor
    mean: Tensor

    def __init__(self, hand: BodyModel, regressor: Tensor, downs: Sequence[sp.spmatrix] = ()) -> None:
        """regressor: (21, V), of FreiHAND's joints.  downs: downsampling matrices, finest first."""
        super().__init__()
        self.body = hand
        self.register_buffer("regressor", regressor.detach().float(), persistent=False)
        self.downs = nn.ModuleList(SparseMatrix(down) for down in downs)
        self.register_buffer("mean", hand_pose_mean(hand), persistent=False)

    @torch.no_grad()
    def forward(self, batch: Mapping[str, Tensor]) -> MeshTargets:
        rotations = matrix_from_axis_angle((batch["pose"] + self.mean).unflatten(1, (-1, 3)))
        vertices = self.body(None, batch["betas"], rotations=rotations).vertices
        joints = self.regressor @ vertices
        vertices, joints = vertices - joints[:, :1], joints - joints[:, :1]
        has = batch["has_mesh"].bool()
        return MeshTargets(
            joints3d=torch.cat([joints, torch.ones_like(joints[..., :1])], -1),
            joints2d=batch["joints2d"],
            meshes=mesh_pyramid(vertices, self.downs),
            rotations=rotations,
            betas=batch["betas"],
            has_3d=has,
            has_2d=batch["has_2d"].bool(),
            has_mesh=has,
        )

    def mesh_joints(self, vertices: Tensor) -> tuple[Tensor, Tensor]:
        """The 21 joints (N, 21, 3) and wrist (N, 1, 3) of vertices (N, V, 3)."""
        joints = self.regressor @ vertices
        return joints, joints[:, :1]


def mesh_pyramid(vertices: Tensor, downs: nn.ModuleList) -> dict[int, Tensor]:
    """Vertex count -> mesh (N, count, 3), the full one of vertices (N, V, 3) first."""
    meshes = {vertices.shape[1]: vertices}
    for down in downs:
        vertices = down(vertices.transpose(0, 1)).transpose(0, 1)
        meshes[vertices.shape[1]] = vertices
    return meshes


class Pose2MeshTargets(nn.Module):
    """Batches of `training.preprocessing.pose2mesh_style` -> ground truth mesh and the joints to regress from it."""

    regressor: Tensor
    mean: Tensor

    def __init__(self, body: BodyModel, regressor: Tensor, gendered: Mapping[str, BodyModel] | None = None) -> None:
        """regressor: (K, V), of the target joint set."""
        super().__init__()
        self.body = body
        self.gendered = nn.ModuleDict(dict(gendered or {}))
        self.register_buffer("regressor", regressor.detach().float(), persistent=False)
        self.register_buffer("mean", hand_pose_mean(body), persistent=False)

    @torch.no_grad()
    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Vertices (N, V, 3) m, relative to the target's root, and joints (N, K, 3) mm."""
        rotations = matrix_from_axis_angle((batch["pose"] + self.mean).unflatten(1, (-1, 3)))
        vertices = pose_by_gender(self.body, self.gendered, rotations, batch)
        vertices = vertices + batch["trans"][:, None]
        regressed = 1000 * (self.regressor @ vertices)
        given = batch["joints_given"].bool()[:, None, None]
        return vertices, torch.where(given, batch["joints"], regressed)


def hand_regressor(hand: BodyModel) -> Tensor:
    """Regressor (21, V) float32 of FreiHAND's joints: the body's own, else MANO's 16 joints and five fingertips."""
    if "freihand21" in hand.regressors:
        return hand.regressors["freihand21"].float()
    tips = torch.eye(len(hand.v_template))[list(MANO_TIPS)]
    return torch.cat([hand.joint_regressor.float(), tips])[list(MANO21_TO_HAND21)]


def hand_pose_mean(body: BodyModel) -> Tensor:
    """(3 J,) rad, to add to a file's pose: MANO's finger poses are relative to its mean pose, a half-closed hand."""
    if body.hand_mean is None:
        return torch.zeros(3 * len(body.parents))
    return torch.cat([torch.zeros(3), torch.as_tensor(body.hand_mean).float().flatten()])


def pose_by_gender(body: BodyModel, gendered: nn.ModuleDict, rotations: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Vertices (N, V, 3) m, each sample posed with the body of its gender where there is one."""
    vertices = body(None, batch["betas"], rotations=rotations).vertices
    for index, gender in enumerate(GENDERS):
        if gender in gendered:
            mask = batch["gender"] == index
            posed = gendered[gender](None, batch["betas"][mask], rotations=rotations[mask])
            vertices[mask] = posed.vertices
    return vertices
