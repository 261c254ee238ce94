"""Pose2Mesh's losses for lifter and full network (Choi et al., ECCV 2020, section 5.2, and the released code)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from training.losses import terms
from training.losses.surface import Surface


def masked_l1(pred: Tensor, target: Tensor, valid: Tensor, upstream_quirks: bool = True) -> Tensor:
    """Mean absolute difference of pred and target (N, K, D) where valid (N, K or 1), 0 or 1, is 1.

    upstream_quirks: the mean also counts the masked entries as zeros; else only the valid ones (0 where there is none).
    """
    valid = valid.to(pred.dtype)[..., None]
    error = (pred * valid - target * valid).abs()
    if upstream_quirks:
        return error.mean()
    share = valid.expand_as(error).mean()
    return error.mean() / share.clamp(min=1e-12)


class PoseLiftLoss(nn.Module):
    """Stage 1: joints and target (N, J, 3) mm, valid (N, J) -> {"loss", "lifted"}, mm."""

    def __init__(self, upstream_quirks: bool = True) -> None:
        super().__init__()
        self.upstream_quirks = upstream_quirks

    def forward(self, joints: Tensor, target: Tensor, valid: Tensor) -> dict[str, Tensor]:
        loss = masked_l1(joints, target, valid, self.upstream_quirks)
        return {"loss": loss, "lifted": loss}


@dataclass(frozen=True)
class Pose2MeshWeights:
    vertices: float = 1.0
    normal: float = 0.1
    edge: float = 20.0
    joints: float = 1e-3  # millimetres -> metres


class Pose2MeshLoss(nn.Module):
    """Stage 2: returns {"loss": the sum, and its parts by name}, weighted.

    surface: of the full mesh.  regressor (K, V): of the target joint set.
    upstream_quirks: means count masked entries; the normal and edge losses include invalid meshes.
    """

    regressor: Tensor

    def __init__(
        self,
        surface: Surface,
        regressor: Tensor,
        weights: Pose2MeshWeights | None = None,
        upstream_quirks: bool = True,
    ) -> None:
        super().__init__()
        self.surface, self.weights = surface, weights or Pose2MeshWeights()
        self.upstream_quirks = upstream_quirks
        self.register_buffer("regressor", regressor.detach().float(), persistent=False)

    def forward(
        self,
        vertices: Tensor,
        target: Tensor,
        target_joints: Tensor,
        mesh_valid: Tensor,
        joints_valid: Tensor,
        lifted: Tensor | None = None,
        target_lifted: Tensor | None = None,
        lift_valid: Tensor | None = None,
        with_edges: bool = True,
    ) -> dict[str, Tensor]:
        """vertices and target (N, V, 3) m; target_joints (N, K, 3) mm, relative to the mesh's origin; lifted and
        target_lifted (N, J, 3) mm, None where MeshNet is trained alone; mesh_valid (N,), joints_valid (N, K),
        lift_valid (N, J): 0 or 1.  with_edges: include the edge loss."""
        w, quirks = self.weights, self.upstream_quirks
        regressed = self.regressor @ (vertices * 1000)
        mask = None if quirks else mesh_valid.bool()
        parts = {
            "vertices": w.vertices * masked_l1(vertices, target, mesh_valid[:, None], quirks),
            "normal": w.normal
            * terms.masked_mean(mask, lambda p, t: terms.normal_error(p, t, self.surface.faces), vertices, target),
            "joints": w.joints * masked_l1(regressed, target_joints, joints_valid, quirks),
        }
        if lifted is not None and target_lifted is not None and lift_valid is not None:
            parts["lifted"] = w.joints * masked_l1(lifted, target_lifted, lift_valid, quirks)
        if with_edges:
            edges = self.surface.face_edges
            parts["edge"] = w.edge * terms.masked_mean(
                mask, lambda p, t: terms.edge_error(p, t, edges), vertices, target
            )
        return {"loss": terms.total(parts.values()), **parts}
