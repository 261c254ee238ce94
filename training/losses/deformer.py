"""DeFormer's losses: METRO's terms on every estimate, since the author published none (Yoshiyasu, CVPR 2023).

Surface terms are FastMETRO's, on the mesh of 1723 vertices.  With the full mesh as queries a Laplacian term is added,
since nothing else keeps that mesh smooth (as in Mamba-HMR, 2025, by the same author).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.models.smpler.network import project
from training.losses import terms
from training.losses.mesh_targets import MeshTargets
from training.losses.surface import Surface
from training.losses.terms import masked_mean

_EPS = 1e-8
_JOINTS = 14


@dataclass(frozen=True)
class DeFormerWeights:
    """The weights of DeFormer's loss terms.  meshes: vertex count -> share of that mesh in the vertex term."""

    meshes: dict[int, float]
    joints3d: float = 1000.0
    vertices: float = 100.0
    joints2d: float = 100.0
    edge: float = 500.0
    edge_self: float = 1e-2
    normal: float = 10.0
    laplacian: float = 0.0


class DeFormerLoss(nn.Module):
    """Returns {"loss": sum over the estimates, and its parts by name}, weighted.

    surface: of the mesh of `surface_size` vertices whose edges, normals and Laplacian are compared.
    """

    neighbour_index: Tensor
    neighbour_values: Tensor

    def __init__(self, surface: Surface, surface_size: int, weights: DeFormerWeights) -> None:
        super().__init__()
        self.surface, self.surface_size, self.weights = surface, surface_size, weights
        if weights.laplacian:
            means = surface.normalised_adjacency(surface_size)
            self.register_buffer("neighbour_index", means.indices(), persistent=False)
            self.register_buffer("neighbour_values", means.values(), persistent=False)

    def forward(
        self, coordinates: list[Tensor], outputs: list[dict[str, Tensor]], targets: MeshTargets
    ) -> dict[str, Tensor]:
        """coordinates: the estimates X^t (N, T, 3) in the crop's units; outputs: `DeFormer.measure` of each."""
        total: dict[str, Tensor] = {}
        for x, pred in zip(coordinates, outputs, strict=True):
            for name, value in self._parts(x, pred, targets).items():
                total[name] = total[name] + value if name in total else value
        return {"loss": terms.total(total.values()), **total}

    def _parts(self, x: Tensor, pred: dict[str, Tensor], targets: MeshTargets) -> dict[str, Tensor]:
        w, has_mesh, surface = self.weights, targets.has_mesh, self.surface
        gt_joints3d = terms.hip_relative(targets.joints3d)
        joints3d = terms.total(
            masked_mean(targets.has_3d, terms.weighted_l1, terms.hip_relative(pred[name]), gt_joints3d)
            for name in ("joints", "mesh_joints")
        )
        # the tokens' coordinates are in the crop already: their 2D loss needs no camera
        joints2d = terms.total(
            masked_mean(targets.has_2d, terms.weighted_l1, points2d, targets.joints2d)
            for points2d in (x[:, :_JOINTS, :2], project(pred["mesh_joints"], pred["camera"]))
        )
        vertices = terms.total(
            share * masked_mean(has_mesh, terms.l1, mesh_of(pred, size), targets.meshes[size])
            for size, share in w.meshes.items()
        )
        mesh, gt_mesh = mesh_of(pred, self.surface_size), targets.meshes[self.surface_size]
        parts = {
            "joints3d": w.joints3d * joints3d,
            "joints2d": w.joints2d * joints2d,
            "vertices": w.vertices * vertices,
            "edge": w.edge
            * masked_mean(has_mesh, lambda p, t: terms.edge_error(p, t, surface.edges, _EPS), mesh, gt_mesh),
            "edge_self": w.edge_self
            * masked_mean(has_mesh, lambda p: terms.edge_lengths(p, surface.edges, _EPS).mean(), mesh),
            "normal": w.normal
            * masked_mean(has_mesh, lambda p, t: terms.normal_error(p, t, surface.faces), mesh, gt_mesh),
        }
        if w.laplacian:
            size = (self.surface_size, self.surface_size)
            means = torch.sparse_coo_tensor(self.neighbour_index, self.neighbour_values, size, check_invariants=False)
            parts["laplacian"] = w.laplacian * masked_mean(
                has_mesh, lambda p, t: terms.laplacian_error(p, t, means), mesh, gt_mesh
            )
        return parts


def mesh_of(pred: dict[str, Tensor], size: int) -> Tensor:
    """The mesh of `size` vertices in the output of `DeFormer.measure`."""
    return pred.get(f"vertices_{size}", pred["vertices"])
