"""FastMETRO's losses: body (Cho et al., ECCV 2022, section 3.4, and the released code), hand, and SMPL regressor."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from backend.models.smpler.network import project
from training.losses import terms
from training.losses.surface import Surface
from training.losses.targets import MeshTargets
from training.losses.terms import over

_EPS = 1e-8  # under the root of an edge's length
WRIST = 0


@dataclass(frozen=True)
class FastMETROWeights:
    """meshes: of the meshes' L1, finest last (coarse, intermediate, fine; hand: coarse, fine)."""

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
    """The network's answer and the targets -> {"loss": the sum, and its parts by name}, weighted.

    part `body`: 14 joints, origin the middle of the hips; `hand`: 21 joints, origin the wrist.
    surface: of the mesh that edges and normals are compared on: the intermediate one (body), the full one (hand).
    upstream_quirks: the 2D loss takes every sample into its mean, also those without 2D joints.
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
        """joints (N, K, 3): the tokens', about their own root; mesh_joints (N, K, 3): regressed from the finest mesh;
        meshes: coarse to fine, all about the finest mesh's root; camera (N, 3): s, tx, ty."""
        w, surface = self.weights, self.surface
        hand = self.part == "hand"
        mesh = meshes[-1] if hand else meshes[-2]
        true_mesh = targets.meshes[mesh.shape[1]]
        with_2d = None if self.upstream_quirks else targets.has_2d
        wanted3d = self.origin(targets.joints3d)
        kp3d = terms.total(
            over(targets.has_3d, terms.weighted_l1, self.origin(found), wanted3d)
            for found in (joints, mesh_joints)
        )
        kp2d = terms.total(
            over(with_2d, terms.weighted_l1, project(found, camera), targets.joints2d)
            for found in (joints, mesh_joints)
        )
        vertices = terms.total(
            share * over(targets.has_mesh, terms.l1, found, targets.meshes[found.shape[1]])
            for share, found in zip(w.meshes, meshes, strict=True)
        )
        edges = surface.corner_edges if hand else surface.edges
        edge = over(targets.has_mesh, lambda p, t: terms.edge_error(p, t, edges, _EPS), mesh, true_mesh)
        normal = over(targets.has_mesh, lambda p, t: terms.normal_error(p, t, surface.faces), mesh, true_mesh)
        parts = {
            "joints3d": w.joints3d * kp3d,
            "joints2d": w.joints2d * kp2d,
            "vertices": w.vertices * vertices,
            "edge": w.surface * w.edge * edge,
            "normal": w.surface * w.normal * normal,
        }
        if w.edge_self:
            length = over(targets.has_mesh, lambda p: terms.lengths(p, edges, _EPS).mean(), mesh)
            parts["edge_self"] = w.surface * w.edge_self * length
        return {"loss": terms.total(parts.values()), **parts}

    def origin(self, joints: Tensor) -> Tensor:
        return terms.on_joint(joints, WRIST) if self.part == "hand" else terms.on_hips(joints)


def parameter_loss(rotations: Tensor, betas: Tensor, targets: MeshTargets) -> Tensor:
    """Mean squared error of the rotations' entries, and a tenth of that of the betas."""
    turns = over(targets.has_mesh, terms.l2, rotations, targets.rotations)
    return turns + 0.1 * over(targets.has_mesh, terms.l2, betas, targets.betas)


class SMPLRegressorLoss(nn.Module):
    """FastMETRO's SMPL parameter regressor: 1000 x (parameters + 3D + 2D + vertices), of the body it answers with.

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
        """rotations (N, 24, 3, 3), betas (N, 10); vertices (N, V, 3), joints (N, 14, 3) of that body about its pelvis;
        camera (N, 3): the mesh's, which this loss does not move."""
        with_2d = None if self.upstream_quirks else targets.has_2d
        parts = {
            "smpl_parameters": parameter_loss(rotations, betas, targets),
            "smpl_joints3d": over(
                targets.has_3d, terms.weighted_l1, terms.on_hips(joints), terms.on_hips(targets.joints3d)
            ),
            "smpl_joints2d": over(
                with_2d, terms.weighted_l1, project(joints, camera.detach()), targets.joints2d
            ),
            "smpl_vertices": over(targets.has_mesh, terms.l1, vertices, targets.meshes[vertices.shape[1]]),
        }
        parts = {name: self.weight * value for name, value in parts.items()}
        return {"loss": terms.total(parts.values()), **parts}
