"""FastMETRO's losses: body, hand, SMPL regressor (Cho et al., ECCV 2022, section 3.4, and the released code)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from backend.models.smpler.network import project
from training.losses import terms
from training.losses.mesh_targets import MeshTargets
from training.losses.surface import Surface
from training.losses.terms import masked_mean

_EPS = 1e-8  # added under the square root of edge lengths
WRIST = 0


@dataclass(frozen=True)
class FastMETROWeights:
    """The weights of FastMETRO's loss terms.

    meshes: shares of the meshes in the vertex term, finest last (coarse, intermediate, fine; hand: coarse, fine).
    """

    joints3d: float = 1000.0
    vertices: float = 100.0
    surface: float = 100.0
    joints2d: float = 100.0
    meshes: tuple[float, ...] = (0.25, 0.5, 0.25)
    edge: float = 5.0
    edge_self: float = 1e-4
    normal: float = 0.1


HAND_WEIGHTS = FastMETROWeights(meshes=(0.5, 0.5), edge=1.0, edge_self=0.0)


class FastMETROLoss(nn.Module):
    """Returns {"loss": the sum, and its parts by name}, weighted.

    part `body`: 14 joints, origin the midpoint of the hips; `hand`: 21 joints, origin the wrist.
    surface: of the mesh whose edges and normals are compared: the intermediate one (body), the full one (hand).
    upstream_quirks: the mean of the 2D loss includes samples without 2D joints.
    """

    def __init__(
        self,
        surface: Surface,
        part: str = "body",
        weights: FastMETROWeights | None = None,
        upstream_quirks: bool = True,
    ) -> None:
        super().__init__()
        self.surface, self.part, self.upstream_quirks = surface, part, upstream_quirks
        self.weights = weights or (HAND_WEIGHTS if part == "hand" else FastMETROWeights())

    def forward(
        self, joints: Tensor, mesh_joints: Tensor, meshes: list[Tensor], camera: Tensor, targets: MeshTargets
    ) -> dict[str, Tensor]:
        """joints (N, K, 3): of the tokens, relative to their root; mesh_joints (N, K, 3): regressed from the finest
        mesh; meshes: coarse to fine, relative to the finest mesh's root; camera (N, 3): s, tx, ty.  Lengths in m."""
        w, surface = self.weights, self.surface
        hand = self.part == "hand"
        mesh = meshes[-1] if hand else meshes[-2]
        gt_mesh = targets.meshes[mesh.shape[1]]
        mask_2d = None if self.upstream_quirks else targets.has_2d
        gt_joints3d = self.origin(targets.joints3d)
        joints3d = terms.total(
            masked_mean(targets.has_3d, terms.weighted_l1, self.origin(pred), gt_joints3d)
            for pred in (joints, mesh_joints)
        )
        joints2d = terms.total(
            masked_mean(mask_2d, terms.weighted_l1, project(pred, camera), targets.joints2d)
            for pred in (joints, mesh_joints)
        )
        vertices = terms.total(
            share * masked_mean(targets.has_mesh, terms.l1, pred, targets.meshes[pred.shape[1]])
            for share, pred in zip(w.meshes, meshes, strict=True)
        )
        edges = surface.face_edges if hand else surface.edges
        edge = masked_mean(targets.has_mesh, lambda p, t: terms.edge_error(p, t, edges, _EPS), mesh, gt_mesh)
        normal = masked_mean(targets.has_mesh, lambda p, t: terms.normal_error(p, t, surface.faces), mesh, gt_mesh)
        parts = {
            "joints3d": w.joints3d * joints3d,
            "joints2d": w.joints2d * joints2d,
            "vertices": w.vertices * vertices,
            "edge": w.surface * w.edge * edge,
            "normal": w.surface * w.normal * normal,
        }
        if w.edge_self:
            length = masked_mean(targets.has_mesh, lambda p: terms.edge_lengths(p, edges, _EPS).mean(), mesh)
            parts["edge_self"] = w.surface * w.edge_self * length
        return {"loss": terms.total(parts.values()), **parts}

    def origin(self, joints: Tensor) -> Tensor:
        return terms.joint_relative(joints, WRIST) if self.part == "hand" else terms.hip_relative(joints)


def parameter_loss(rotations: Tensor, betas: Tensor, targets: MeshTargets) -> Tensor:
    """Mean squared error of the rotation matrices' entries plus 0.1 x that of the betas."""
    rotation_loss = masked_mean(targets.has_mesh, terms.l2, rotations, targets.rotations)
    return rotation_loss + 0.1 * masked_mean(targets.has_mesh, terms.l2, betas, targets.betas)


class SMPLRegressorLoss(nn.Module):
    """Loss of FastMETRO's SMPL parameter regressor: weight x (parameters + 3D + 2D + vertices) of its predicted body.

    upstream_quirks: as `FastMETROLoss`.
    """

    def __init__(self, weight: float = 1000.0, upstream_quirks: bool = True) -> None:
        super().__init__()
        self.weight, self.upstream_quirks = weight, upstream_quirks

    def forward(
        self,
        rotations: Tensor,
        betas: Tensor,
        vertices: Tensor,
        joints: Tensor,
        camera: Tensor,
        targets: MeshTargets,
    ) -> dict[str, Tensor]:
        """rotations (N, 24, 3, 3), betas (N, 10); vertices (N, V, 3), joints (N, 14, 3) of that body, m, relative to
        its pelvis; camera (N, 3): that of the mesh, without gradient from this loss."""
        mask_2d = None if self.upstream_quirks else targets.has_2d
        parts = {
            "smpl_parameters": parameter_loss(rotations, betas, targets),
            "smpl_joints3d": masked_mean(
                targets.has_3d,
                terms.weighted_l1,
                terms.hip_relative(joints),
                terms.hip_relative(targets.joints3d),
            ),
            "smpl_joints2d": masked_mean(
                mask_2d, terms.weighted_l1, project(joints, camera.detach()), targets.joints2d
            ),
            "smpl_vertices": masked_mean(targets.has_mesh, terms.l1, vertices, targets.meshes[vertices.shape[1]]),
        }
        parts = {name: self.weight * value for name, value in parts.items()}
        return {"loss": terms.total(parts.values()), **parts}
