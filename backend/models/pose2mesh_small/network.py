"""A small Pose2Mesh for MediaPipe's landmarks: a lifter of 2D and the detector's 3D, and a small mesh network.

After Choi, Moon, Lee, "Pose2Mesh", ECCV 2020: PoseNet, 512 wide, then Chebyshev convolutions on a graph of 431 vertices
instead of nine levels; a constant sparse matrix upsamples to the full mesh.  Each part has a linear skip connection,
fitted by ridge regression, so that the network learns only the residual.  Trained by `training.synthetic`.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from backend.body.mesh_levels import SparseMatrix
from backend.models.pose2mesh.mesh_graph import laplacian
from backend.models.pose2mesh.network import ChebyshevConv, ResidualLinear

LANDMARKS, JOINTS = 33, 24
POINTS = JOINTS + LANDMARKS
INPUTS = LANDMARKS * 6 + 1
GIVEN = LANDMARKS * 3  # index of the first input of the detector's 3D
_CHANNELS = (16, 48, 48, 3)


def features(keypoints: np.ndarray, world: np.ndarray | None) -> np.ndarray:
    """(n, 199) float32.  keypoints (n, 33, 3): px and visibility; world (n, 33, 3) m or None.

    2D is standardised with the mean and spread over visible keypoints, then clipped; invisible ones have low weights.
    """
    weights = np.clip((keypoints[..., 2] - 0.1) / 0.4, 0.02, 1)[..., None]
    share = weights / weights.sum(1, keepdims=True)
    flat = keypoints[..., :2] - (keypoints[..., :2] * share).sum(1, keepdims=True)
    spread = np.sqrt((flat**2 * share).sum((1, 2), keepdims=True))
    flat = np.clip(flat / np.maximum(spread, 1e-3), -4, 4)
    count = len(flat)
    given = np.zeros((count, LANDMARKS, 3)) if world is None else np.clip(world, -2, 2) * 2
    flag = np.full((count, 1), 0.0 if world is None else 1.0)
    columns = [flat.reshape(count, -1), weights.reshape(count, -1) - 0.8, given.reshape(count, -1), flag]
    return np.concatenate(columns, 1).astype(np.float32)


class Lifter(nn.Module):
    """Inputs (N, 199) of `features` -> (N, 57, 3) m: 24 joints relative to the pelvis joint, then 33 landmarks relative
    to the midpoint of the hips; axes of the ray to the person (x right, y down, z forward)."""

    def __init__(self, width: int = 512) -> None:
        super().__init__()
        self.straight = nn.Linear(INPUTS, 3 * POINTS)
        self.w1 = nn.Linear(INPUTS, width)
        self.linear_stages = nn.ModuleList(ResidualLinear(width, 0.0) for _ in range(2))
        self.w2 = nn.Linear(width, 3 * POINTS)

    def forward(self, values: Tensor) -> Tensor:
        x = self.w1(values)
        for stage in self.linear_stages:
            x = stage(x)
        return (self.straight(values) + self.w2(x)).unflatten(1, (-1, 3))

    @torch.no_grad()
    def fit_skip_by_ridge(self, values: Tensor, targets: Tensor) -> None:
        """Fit the linear skip connection from values (N, 199) to targets (N, 57, 3), and zero the network's output."""
        ridge_regression(self.straight, values, targets.flatten(1), 1e-3)
        nn.init.zeros_(self.w2.weight)
        nn.init.zeros_(self.w2.bias)


class SmallMeshNet(nn.Module):
    """Points (N, 57, 3) m of the lifter -> coarse vertices (N, C, 3) m, relative to the pelvis joint.

    adjacency: (C, C) of the coarse mesh, non-zero on the diagonal.
    """

    def __init__(self, adjacency: sp.csr_matrix) -> None:
        super().__init__()
        count = adjacency.shape[0]
        graph = laplacian(sp.csr_matrix(adjacency - sp.diags(adjacency.diagonal())))
        # Defferrard's rescaling 2 L / lmax - I with lmax 2, the upper bound for a normalised Laplacian
        self.graph = SparseMatrix(sp.csr_matrix(graph - sp.identity(count), dtype=np.float32))
        self.straight = nn.Linear(3 * POINTS, 3 * count)
        self.spread = nn.Linear(3 * POINTS, count * _CHANNELS[0])
        self.convs = nn.ModuleList(ChebyshevConv(a, b) for a, b in pairwise(_CHANNELS))

    def forward(self, points: Tensor) -> Tensor:
        flat = points.flatten(1)
        x = torch.relu(self.spread(flat)).unflatten(1, (-1, _CHANNELS[0])).transpose(0, 1)
        for k, conv in enumerate(self.convs):
            assert isinstance(conv, ChebyshevConv)
            y = conv.convolve(x.contiguous(), self.graph)
            if k < len(self.convs) - 1:
                y = torch.relu(y)
            x = x + y if x.shape == y.shape else y
        return self.straight(flat).unflatten(1, (-1, 3)) + x.transpose(0, 1)

    @torch.no_grad()
    def fit_skip_by_ridge(self, points: Tensor, targets: Tensor) -> None:
        """As `Lifter.fit_skip_by_ridge`: points (N, 57, 3), targets (N, C, 3)."""
        ridge_regression(self.straight, points.flatten(1), targets.flatten(1), 1e-6)
        last = self.convs[-1]
        assert isinstance(last, ChebyshevConv)
        nn.init.zeros_(last.weight)


class SmallPose2Mesh(nn.Module):
    """Inputs (N, 199) -> dict: vertices (N, V, 3) m relative to the pelvis joint, points (N, 57, 3) as `Lifter`.

    adjacency: (C, C) of the coarse mesh; up: (V, C) to the full one.
    """

    def __init__(self, adjacency: sp.csr_matrix, up: sp.csr_matrix, width: int = 512) -> None:
        super().__init__()
        self.pose_lifter = Lifter(width)
        self.pose2mesh = SmallMeshNet(adjacency)
        self.up = SparseMatrix(up)

    def forward(self, values: Tensor) -> dict[str, Tensor]:
        points = self.pose_lifter(values)
        coarse = self.pose2mesh(points.detach())  # the mesh losses do not reach the lifter
        return {"points": points, "vertices": self.up(coarse.transpose(0, 1).contiguous()).transpose(0, 1)}


@torch.inference_mode()
def lift(model: Lifter, keypoints: np.ndarray, world: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Joints (n, 24, 3) and landmarks (n, 33, 3), m, from the arguments of `features`."""
    out = model(torch.from_numpy(features(keypoints, world))).numpy()
    return out[:, :JOINTS], out[:, JOINTS:]


@torch.no_grad()
def ridge_regression(layer: nn.Linear, values: Tensor, targets: Tensor, ridge: float) -> None:
    """Set a linear layer by ridge regression from values (N, I) to targets (N, O)."""
    x = torch.cat([values, torch.ones(len(values), 1)], 1).double()
    normal = x.T @ x + ridge * len(x) * torch.eye(x.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(normal, x.T @ targets.double()).float()
    layer.weight.copy_(solution[:-1].T)
    layer.bias.copy_(solution[-1])
