"""The mesh levels of a body: adjacency, down- and upsampling matrices, for networks on meshes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch

from backend.body.hierarchy import LEVELS, mesh_hierarchy


@dataclass(frozen=True)
class MeshLevels:
    """Levels from fine to coarse, e.g. 6890, 1723, 431 vertices.

    adjacency[k]: (v_k, v_k) float32, 1 where vertices share an edge, and on the diagonal.
    up[k] (v_k, v_{k+1}) and down[k] (v_{k+1}, v_k): float32, between levels k and k + 1.
    """

    adjacency: tuple[sp.csr_matrix, ...]
    up: tuple[sp.csr_matrix, ...]
    down: tuple[sp.csr_matrix, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Vertices per level, finest first."""
        return tuple(a.shape[0] for a in self.adjacency)


def body_levels(vertices: np.ndarray, faces: np.ndarray, counts: tuple[int, ...] = LEVELS) -> MeshLevels:
    """vertices (V, 3) m, rest pose; faces (F, 3) -> the full mesh and coarser ones of `counts` vertices.

    Our own weights are trained on these levels.  Raises BadInput `bad_mesh` as `mesh_hierarchy` does.
    """
    coarser = mesh_hierarchy(vertices, faces, counts)
    adjacency, up, down = [adjacency_of(faces, len(vertices))], [], []
    for k, level in enumerate(coarser):
        adjacency.append(adjacency_of(level.faces, len(level.vertices)))
        if k == 0:
            up.append(level.up)
            down.append(level.down)
        else:  # these matrices are to and from the full mesh
            finer = coarser[k - 1]
            up.append(finer.down @ level.up)
            down.append(level.down @ finer.up)
    return MeshLevels(tuple(adjacency), tuple(map(_float32, up)), tuple(map(_float32, down)))


def adjacency_of(faces: np.ndarray, count: int) -> sp.csr_matrix:
    """faces (F, 3) -> (count, count) float32: 1 along edges and on the diagonal."""
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    rows, columns = np.concatenate([a, b, np.arange(count)]), np.concatenate([b, a, np.arange(count)])
    matrix = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(count, count))
    matrix.data[:] = 1.0
    return matrix


class SparseMatrix(torch.nn.Module):
    """A constant sparse (V, v) matrix that multiplies points, on any device.

    Its buffers are dense, as sparse tensors can be neither copied nor sent to other processes, and not in checkpoints.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    values: torch.Tensor

    def __init__(self, matrix: sp.spmatrix) -> None:
        super().__init__()
        csr = _float32(matrix)
        self.shape: tuple[int, int] = csr.shape
        parts = {
            "rows": torch.as_tensor(csr.indptr, dtype=torch.int64),
            "columns": torch.as_tensor(csr.indices, dtype=torch.int64),
            "values": torch.as_tensor(csr.data, dtype=torch.float32),
        }
        for name, value in parts.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """points (v, ...) -> (V, ...), computed in float32, the only dtype of sparse products on the CPU."""
        with torch.autocast(points.device.type, enabled=False):
            product = self.tensor() @ points.flatten(1).float()
        return product.unflatten(1, points.shape[1:]).to(points.dtype)

    def tensor(self) -> torch.Tensor:
        """The matrix as a CSR tensor, without a copy."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "Sparse CSR tensor support is in beta state"
            return torch.sparse_csr_tensor(
                self.rows, self.columns, self.values.float(), size=self.shape, check_invariants=False
            )


def _float32(matrix: sp.spmatrix) -> sp.csr_matrix:
    csr = sp.csr_matrix(matrix, dtype=np.float32)
    csr.sort_indices()
    return csr
