"""What a batch asks the networks for: joints and meshes with their flags."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class MeshTargets:
    """Of N samples.  Metres, camera axes (x right, y down, z away); rows whose flag is unset may hold anything finite.

    joints3d (N, K, 4): x y z and confidence, about any root.  joints2d (N, K, 3): x y in the crop's [-1, 1] and
    visibility.  meshes: vertex count -> (N, count, 3), about the root (body: the regressed pelvis; hand: the wrist).
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
