"""Edges and faces of a mesh for the edge, normal and Laplacian losses."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn


class Surface(nn.Module):
    """A mesh's faces and edges.

    faces (F, 3); edges (E, 2), each once; face_edges (3 F, 2), the three of every face; int64 buffers.
    """

    faces: Tensor
    edges: Tensor
    face_edges: Tensor

    def __init__(self, faces: np.ndarray) -> None:
        super().__init__()
        faces = np.asarray(faces, np.int64)
        corners = np.concatenate([faces[:, [0, 1]], faces[:, [0, 2]], faces[:, [1, 2]]])
        edges = np.unique(np.sort(corners, 1), axis=0)
        for name, value in (("faces", faces), ("edges", edges), ("face_edges", corners)):
            self.register_buffer(name, torch.as_tensor(value.copy()), persistent=False)

    def normalised_adjacency(self, count: int) -> Tensor:
        """Sparse (count, count): equal weights of each vertex's neighbours; rows sum to 1."""
        edges = self.edges.cpu().numpy()
        rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
        matrix = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(count, count))
        degree = np.maximum(np.asarray(matrix.sum(1)).ravel(), 1)
        matrix = sp.coo_matrix(sp.diags(1 / degree) @ matrix)
        index = torch.as_tensor(np.stack([matrix.row, matrix.col]).astype(np.int64))
        values = torch.as_tensor(matrix.data.astype(np.float32))
        made = torch.sparse_coo_tensor(index, values, (count, count), check_invariants=True)
        return made.coalesce().to(self.edges.device)


def three_cycles(adjacency: sp.spmatrix) -> np.ndarray:
    """All triples (F, 3), ascending, of vertices that are adjacent to each other by adjacency (V, V).

    METRO's face list of the intermediate mesh was made in this way: it has nine triangles that are not faces, and no
    consistent orientation.
    """
    graph = sp.csr_matrix(adjacency)
    neighbours = [set(graph.indices[graph.indptr[k] : graph.indptr[k + 1]].tolist()) for k in range(graph.shape[0])]
    cycles = [
        (a, b, c) for a, near in enumerate(neighbours) for b in near if b > a for c in near & neighbours[b] if c > b
    ]
    return np.array(sorted(cycles), np.int64).reshape(-1, 3)
