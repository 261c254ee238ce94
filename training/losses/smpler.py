"""SMPLer's loss, of the last stage alone (Xu et al., PAMI 2024, and the released code)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from training.losses import terms
from training.losses.mesh_targets import MeshTargets
from training.losses.terms import masked_mean


@dataclass(frozen=True)
class SMPLerWeights:
    vertices: float = 100.0
    joints2d: float = 100.0
    joints3d: float = 1000.0
    rotations: float = 50.0


class SMPLerLoss(nn.Module):
    """One stage's output of `SMPLer` and its targets -> {"loss": the sum, and its parts by name}, weighted.

    absolute: absolute instead of squared error of joints (the original's `--joint_criterion l1`).
    upstream_quirks: the mean of the 2D loss includes samples without 2D joints.
    """

    def __init__(
        self, weights: SMPLerWeights | None = None, absolute: bool = False, upstream_quirks: bool = True
    ) -> None:
        super().__init__()
        self.weights = weights or SMPLerWeights()
        self.absolute, self.upstream_quirks = absolute, upstream_quirks

    def forward(self, stage: dict[str, Tensor], targets: MeshTargets) -> dict[str, Tensor]:
        w = self.weights
        joint_term = terms.weighted_l1 if self.absolute else terms.weighted_l2
        mask_2d = None if self.upstream_quirks else targets.has_2d
        vertices = stage["vertices_minus_pelvis"]
        joints3d = terms.hip_relative(stage["joints_minus_pelvis"])
        parts = {
            "vertices": w.vertices
            * masked_mean(targets.has_mesh, terms.l1, vertices, targets.meshes[vertices.shape[1]]),
            "joints2d": w.joints2d * masked_mean(mask_2d, joint_term, stage["joints2d"], targets.joints2d),
            "joints3d": w.joints3d
            * masked_mean(targets.has_3d, joint_term, joints3d, terms.hip_relative(targets.joints3d)),
            "rotations": w.rotations * masked_mean(targets.has_mesh, terms.l1, stage["theta"], targets.rotations),
        }
        return {"loss": terms.total(parts.values()), **parts}
