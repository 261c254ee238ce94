"""Pose2Mesh: a 2D pose is lifted to 3D, and to a mesh by graph convolutions from coarse to fine.

Choi, Moon, Lee, "Pose2Mesh: Graph Convolutional Network for 3D Human Pose and Mesh Recovery from a 2D Human Pose",
ECCV 2020.  Parameter names are those of the released checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.body.mesh_levels import SparseMatrix
from backend.models.pose2mesh.joint_sets import POSE_SETS, joint_graph
from backend.models.pose2mesh.mesh_graph import MeshGraph, laplacian

_ORDER = 3  # of the Chebyshev polynomials
# channels of the convolutions: first on the joints, then per mesh level from coarse to fine
_PLANS = {
    "body": (
        (5, 32, 64, 64), (64, 128, 256), *[(256, 256, 256)] * 4, (256, 128, 128), *[(128, 128, 128)] * 2, (128, 64, 3),
    ),
    "hand": ((5, 32, 64, 64), (64, 128, 256), *[(256, 256, 256)] * 3, (256, 128, 128), (128, 64, 3)),
}  # fmt: skip
LEVELS = {"body": 9, "hand": 6}  # of `mesh_graph`


@dataclass(frozen=True)
class Pose2MeshConfig:
    """The configuration of a Pose2Mesh.  pose_set: `human36`, `coco`, `smpl` or `mano`."""

    pose_set: str

    @property
    def part(self) -> Literal["body", "hand"]:
        return "hand" if self.pose_set == "mano" else "body"


class Pose2Mesh(nn.Module):
    """The full network: PoseNet, then MeshNet.  pose2d (N, J, 2) from `normalise_pose` -> dict:

    vertices (N, V, 3) m and joints (N, J, 3) mm, both relative to the pose set's root; x right, y down, z forward.
    """

    def __init__(self, config: Pose2MeshConfig, graph: MeshGraph) -> None:
        super().__init__()
        self.config = config
        joints = len(POSE_SETS[config.pose_set].joints)
        self.pose_lifter = PoseNet(joints)
        self.pose2mesh = MeshNet(config, graph)

    def forward(self, pose2d: Tensor, fake_nodes: bool = False) -> dict[str, Tensor]:
        pose3d = self.pose_lifter(pose2d)
        # the mesh losses do not reach the lifter
        both = torch.cat([pose2d, pose3d.detach().to(pose2d.dtype) / 1000], 2)
        return {"joints": pose3d, **self.pose2mesh(both, fake_nodes)}


class PoseNet(nn.Module):
    """The lifter: pose2d (N, J, 2) -> (N, J, 3) mm, root-relative, camera axes."""

    def __init__(self, joints: int, width: int = 4096, stages: int = 2, dropout: float = 0.5) -> None:
        super().__init__()
        self.w1 = nn.Linear(2 * joints, width)
        self.batch_norm1 = nn.BatchNorm1d(width)  # unused, but in every checkpoint
        self.linear_stages = nn.ModuleList(ResidualLinear(width, dropout) for _ in range(stages))
        self.w2 = nn.Linear(width, 3 * joints)

    def forward(self, pose2d: Tensor) -> Tensor:
        x = self.w1(pose2d.flatten(1))
        for stage in self.linear_stages:
            x = stage(x)
        return self.w2(x).unflatten(1, (-1, 3))


class ResidualLinear(nn.Module):
    """Pre-activation residual block of two linear layers, (N, width) -> (N, width)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, width)
        self.batch_norm1 = nn.BatchNorm1d(width)
        self.w2 = nn.Linear(width, width)
        self.batch_norm2 = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.w1(self.dropout(torch.relu(self.batch_norm1(x))))
        y = self.w2(self.dropout(torch.relu(self.batch_norm2(y))))
        return x + y


class ChebyshevConv(nn.Linear):
    """Chebyshev convolution of order 3 (Defferrard et al., NIPS 2016, equation 4).

    weight (out, 3 in): column 3 i + k is for the polynomial T_k of feature i.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(_ORDER * inputs, outputs)
        bound = (2 / (_ORDER * inputs + outputs)) ** 0.5
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.bias)

    def convolve(self, x: Tensor, graph: SparseMatrix) -> Tensor:
        """x (V, N, in) and the sparse Laplacian (V, V) -> (V, N, out).

        T_2 = 2 L L - I, so y = x (W0 - W2) + L (x W1 + L x 2 W2).  Fewer outputs than inputs: weights come first.
        """
        w0, w1, w2 = self.weight.unflatten(1, (-1, _ORDER)).unbind(2)
        if self.out_features < self.in_features // _ORDER:
            x0, x1, x2 = functional.linear(x, torch.cat([w0 - w2, w1, 2 * w2])).chunk(3, -1)
            return x0 + graph(x1 + graph(x2)) + self.bias
        x1 = graph(x)
        terms = torch.cat([x, x1, graph(x1)], -1)
        return functional.linear(terms, torch.cat([w0 - w2, w1, 2 * w2], 1), self.bias)


class MeshNet(nn.Module):
    """The mesh network, graph convolutions from coarse to fine.

    pose (N, J, 5): 2D pose and 3D pose in metres -> vertices (N, V, 3) m; with `fake_nodes` also raw (N, nodes, 3).

    Training includes fake nodes, because the original's batch statistics do.  Inference leaves them out: they do not
    influence real vertices.
    """

    out_index: Tensor
    perm_index: Tensor
    fc_rows: Tensor

    def __init__(self, config: Pose2MeshConfig, graph: MeshGraph) -> None:
        super().__init__()
        plan = _PLANS[config.part]
        self.plan = plan
        joints = len(POSE_SETS[config.pose_set].joints)
        self.levels = len(plan) - 2  # mesh levels in use: not the hierarchy's coarsest
        self.top = graph.sizes[self.levels - 1]
        convs = [pair for block in plan for pair in pairwise(block)]
        self.cl = nn.ModuleList(ChebyshevConv(a, b) for a, b in convs)
        self.bn = nn.ModuleList(nn.BatchNorm1d(b) for _, b in convs[:-1])
        self.fc = nn.Linear(joints * plan[0][-1], self.top * plan[1][0])
        self.fc.packable = False  # type: ignore[assignment]  # `_spread` reads its weight
        # not rescaled, unlike the meshes' Laplacians
        self.joint_laplacian = SparseMatrix(laplacian(joint_graph(POSE_SETS[config.pose_set])))
        inverse = np.argsort(graph.orders[0], kind="stable")[: graph.counts[0]]
        self._constant("perm_index", inverse)
        self._constant("fc_rows", graph.real(self.levels - 1))
        for level in range(self.levels):
            real = graph.real(level)
            matrix = graph.laplacians[level]
            self.add_module(f"all_{level}", SparseMatrix(matrix))
            self.add_module(f"real_{level}", SparseMatrix(matrix[real][:, real]))
            if level:  # the parent of node p of the finer level is p // 2
                finer = graph.real(level - 1)
                self._constant(f"parent_{level}", np.searchsorted(real, finer // 2))
        self._constant("out_index", np.searchsorted(graph.real(0), inverse))

    def _constant(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.as_tensor(values, dtype=torch.int64), persistent=False)

    def forward(self, pose: Tensor, fake_nodes: bool = False) -> dict[str, Tensor]:
        complete = self.training or fake_nodes
        count = len(pose)
        layer = 0
        x = pose.transpose(0, 1).contiguous()  # (J, N, 5): nodes first, for one sparse product per graph
        for b, block in enumerate(self.plan):
            level = self.levels - b if 0 < b <= self.levels else 0
            kind = "all" if complete else "real"
            graph = cast(SparseMatrix, getattr(self, f"{kind}_{level}") if b else self.joint_laplacian)
            start = x
            for _ in pairwise(block):
                x = cast(ChebyshevConv, self.cl[layer]).convolve(x, graph)
                if layer < len(self.bn):
                    x = torch.relu(self._normalise(layer, x))
                layer += 1
            if b == 0:
                x = self._spread(x, count, complete)
            elif b < len(self.plan) - 1:
                if start.shape[2] != x.shape[2]:
                    start = functional.interpolate(start, size=x.shape[2], mode="linear")
                x = x + start
                if level:
                    x = x.repeat_interleave(2, 0) if complete else x[getattr(self, f"parent_{level}")]
        out = x.transpose(0, 1)
        if not complete:
            return {"vertices": out[:, self.out_index]}
        return {"vertices": out[:, self.perm_index], "raw": out}

    def _normalise(self, layer: int, x: Tensor) -> Tensor:
        norm = self.bn[layer]
        return x if isinstance(norm, nn.Identity) else norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def _spread(self, x: Tensor, count: int, complete: bool) -> Tensor:
        """Joint features (J, N, C) -> features of the coarsest level's nodes (top, N, C)."""
        flat = x.transpose(0, 1).reshape(count, -1)
        width = self.plan[1][0]
        weight, bias = (x.unflatten(0, (self.top, width)) for x in (self.fc.weight, self.fc.bias))
        if not complete:
            weight, bias = weight[self.fc_rows], bias[self.fc_rows]
        nodes = functional.linear(flat, weight.flatten(0, 1), bias.flatten())
        return nodes.unflatten(1, (-1, width)).transpose(0, 1).contiguous()

    def fold_batch_norm(self) -> None:
        """Fold the batch norms into the convolutions, for inference only."""
        for layer, norm in enumerate(self.bn):
            if isinstance(norm, nn.BatchNorm1d):
                conv = cast(ChebyshevConv, self.cl[layer])
                mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
                scale = norm.weight.data / (variance + norm.eps).sqrt()
                conv.weight.data = conv.weight.data * scale[:, None]
                conv.bias.data = (conv.bias.data - mean) * scale + norm.bias.data
                self.bn[layer] = nn.Identity()
