"""The coarse mesh that `pose2mesh-small` outputs: fast skinning of its vertices, and upsampling to the full mesh."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from backend.body.mesh_levels import body_levels
from backend.body.model import BodyModel
from training.synthetic.poses import PoseSampler

_NEIGHBOURS = 12
_BODIES = 240  # with random poses and betas, that the upsampling is fitted to
_RIDGE = 1e-5  # m^2, towards the mesh levels' interpolation
_SUM = 3.0  # m, weight of the constraint that the weights of a vertex sum to 1


class CoarseSkinning:
    """Linear blend skinning with pose blend shapes of the vertices `index` (C,) alone, batched."""

    def __init__(self, body: BodyModel, index: np.ndarray) -> None:
        self.template = body.v_template[index].float()
        self.shapedirs = body.shapedirs[index].float()
        self.posedirs = body.posedirs[index].float()
        self.weights = body.weights[index].float()
        self.joints, self.joint_shapedirs = body.joints_template.float(), body.joints_shapedirs.float()
        self.parents = [int(p) for p in body.parents]

    @torch.inference_mode()
    def __call__(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """rotations (N, J, 3, 3), betas (N, B) -> (N, C, 3) m, relative to the root joint."""
        count = len(betas)
        rest = self.joints + torch.einsum("jcs,ns->njc", self.joint_shapedirs, betas)
        matrices, positions = [rotations[:, 0]], [torch.zeros(count, 3)]
        for j in range(1, len(self.parents)):
            p = self.parents[j]
            matrices.append(matrices[p] @ rotations[:, j])
            positions.append(positions[p] + (matrices[p] @ (rest[:, j] - rest[:, p])[..., None])[..., 0])
        matrix, position = torch.stack(matrices, 1), torch.stack(positions, 1)
        shape = self.template + (self.shapedirs.flatten(0, 1) @ betas.T).T.reshape(count, -1, 3)
        pose_feature = (rotations[:, 1:] - torch.eye(3)).flatten(1)
        shape = shape + (self.posedirs.flatten(0, 1) @ pose_feature.T).T.reshape(count, -1, 3)
        offset = position - (matrix @ rest[..., None])[..., 0]
        blend = torch.einsum("vj,njk->nvk", self.weights, torch.cat([matrix.flatten(2), offset], 2))
        return (blend[..., :9].unflatten(2, (3, 3)) @ shape[..., None])[..., 0] + blend[..., 9:]


def coarse_mesh(body: BodyModel) -> tuple[np.ndarray, sp.csr_matrix, sp.csr_matrix]:
    """index (C,) of the coarse vertices, their adjacency (C, C), and the mesh levels' upsampling (V, C)."""
    levels = body_levels(body.v_template.numpy().astype(np.float64), body.faces.numpy())
    down = levels.down[1] @ levels.down[0]
    return down.indices.copy(), levels.adjacency[2], sp.csr_matrix(levels.up[0] @ levels.up[1])


def fit_upsampling(
    body: BodyModel, poses: PoseSampler, index: np.ndarray, plain: sp.csr_matrix, rng: np.random.Generator
) -> sp.csr_matrix:
    """(V, C) upsampling: each vertex from its nearest coarse ones, by ridge least squares on posed bodies."""
    drawn = poses.sample(rng, _BODIES)
    vertices = []
    with torch.inference_mode():
        for start in range(0, _BODIES, 32):
            rows = slice(start, start + 32)
            matrices = torch.from_numpy(np.ascontiguousarray(drawn.rotations.transpose(3, 0, 1, 2)[rows]))
            posed = body(None, torch.from_numpy(drawn.betas[rows]), rotations=matrices)
            vertices.append((posed.vertices - posed.joints[:, :1]).numpy())
    # (3 n, V): every coordinate of every body, per vertex
    seen = np.concatenate(vertices).transpose(0, 2, 1).reshape(3 * _BODIES, -1).astype(np.float32)
    template = body.v_template.numpy()
    near = cKDTree(template[index]).query(template, _NEIGHBOURS)[1]
    start = plain.toarray()
    values = np.zeros(near.shape)
    for rows in np.array_split(np.arange(len(template)), 60):
        first = np.take_along_axis(start[rows], near[rows], 1)
        given = seen[:, index[near[rows]]].transpose(1, 0, 2).astype(np.float64)  # (v, 3 n, k)
        missing = seen[:, rows].T - (given @ first[..., None])[..., 0]
        normal = np.swapaxes(given, 1, 2) @ given / len(seen)
        normal += (_SUM**2 * np.ones((_NEIGHBOURS, _NEIGHBOURS))) + _RIDGE * np.eye(_NEIGHBOURS)
        right = (np.swapaxes(given, 1, 2) @ missing[..., None])[..., 0] / len(seen)
        right += _SUM**2 * (1 - first.sum(1, keepdims=True))
        values[rows] = first + np.linalg.solve(normal, right[..., None])[..., 0]
    vertices_of = np.repeat(np.arange(len(template)), _NEIGHBOURS)
    return sp.csr_matrix(
        (values.ravel().astype(np.float32), (vertices_of, near.ravel())), shape=(len(template), len(index))
    )
