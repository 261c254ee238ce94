"""The targets of a batch: joints and meshes, with flags for the labels that exist."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class MeshTargets:
    """Targets of N samples, in m and camera axes (x right, y down, z forward).  Without its flag a row is arbitrary.

    joints3d (N, K, 4): x y z and confidence, any origin.  joints2d (N, K, 3): x y in the crop's [-1, 1] and visibility.
    meshes: vertex count -> (N, count, 3), relative to the root (body: the regressed pelvis; hand: the wrist).
    rotations (N, J, 3, 3), betas (N, 10).  has_3d, has_2d, has_mesh: (N,) bool.
    """

    joints3d: Tensor
    joints2d: Tensor
    meshes: dict[int, Tensor]
    rotations: Tensor
    betas: Tensor
    has_3d: Tensor
    has_2d: Tensor
    has_mesh: Tensor
