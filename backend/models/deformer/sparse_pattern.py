"""The attention mask among joints and vertices, and its division into tiles of dense attention.

The mask follows DeFormer (Yoshiyasu, CVPR 2023): joints attend to all tokens and all tokens to them, vertices attend to
their mesh neighbours.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor, nn

JOINTS = 14
TILE = 64  # queries per tile; 32 and 128 were slower at 6904 tokens, forward and backward
_BLOCK = 16  # side of the blocks of the original's block-sparse kernels


class AttentionPattern(nn.Module):
    """A symmetric boolean (N, N) mask whose first `dense` rows and columns are full.  Not part of a checkpoint.

    The other tokens are sorted internally into compact patches of TILE neighbours.  Each patch has the list of all
    tokens that its members may attend to, so that a tile is one small dense attention.
    """

    pairs: Tensor  # (2, P) int64, the allowed pairs
    order: Tensor  # (N,) int64, tokens in the order of the patches, dense ones first
    position: Tensor  # (N - dense,) int64, index of each other token in the flattened `tile_queries`
    tile_queries: Tensor  # (T, TILE) int64 tokens
    tile_keys: Tensor  # (T, K) int64 tokens
    tile_mask: Tensor  # (T, TILE, K) bool

    def __init__(self, allowed: sp.spmatrix, dense: int, tile: int = TILE) -> None:
        """Raises ValueError where `allowed` (N, N) is not symmetric, lacks the diagonal, or a dense row is not full."""
        super().__init__()
        matrix = sp.csr_matrix(allowed, dtype=bool)
        matrix.eliminate_zeros()
        matrix.sort_indices()
        self.tokens, self.dense = matrix.shape[0], dense
        _check(matrix, dense)
        rows, columns = matrix.nonzero()
        rest = matrix[dense:, dense:]
        patches = _patches(rest, tile)
        queries, keys, mask, position = _tiles(rest, patches, dense, tile)
        constants = {
            "pairs": np.stack([rows, columns]),
            "order": np.concatenate([np.arange(dense), dense + patches]),
            "position": position,
            "tile_queries": queries,
            "tile_keys": keys,
        }
        for name, value in constants.items():
            self.register_buffer(name, torch.as_tensor(value.astype(np.int64)), persistent=False)
        self.register_buffer("tile_mask", torch.as_tensor(mask), persistent=False)
        self._allowed: Tensor | None = None

    def allowed(self) -> Tensor:
        """(N, N) bool on the pattern's device, computed on first use: 48 MB at 6904 tokens."""
        if self._allowed is None or self._allowed.device != self.pairs.device:
            with torch.inference_mode(False):  # a training may use it later
                full = torch.zeros(self.tokens, self.tokens, dtype=torch.bool, device=self.pairs.device)
                full[self.pairs[0], self.pairs[1]] = True
            self._allowed = full
        return self._allowed


def mesh_pattern(
    adjacency: sp.spmatrix, joints: int = JOINTS, rings: int = 1, tile16: bool = False
) -> AttentionPattern:
    """The pattern of `joints` joints followed by v vertices.  adjacency (v, v): non-zero along edges.

    rings: a vertex attends to vertices within so many edges.  tile16: allow every pair in each 16 x 16 block with an
    allowed pair, as the original's kernels do; the result then depends on the numbering of the vertices.
    """
    count = adjacency.shape[0]
    step = sp.csr_matrix(adjacency, dtype=bool) + sp.identity(count, dtype=bool, format="csr")
    reach = step
    for _ in range(rings - 1):
        reach = reach @ step
    ones = [np.ones(shape, bool) for shape in ((joints, joints), (joints, count), (count, joints))]
    allowed = sp.bmat([[ones[0], ones[1]], [ones[2], reach]], format="csr")
    if not tile16:
        return AttentionPattern(allowed, joints)
    allowed = allowed.tocoo()
    tokens = joints + count
    blocks = -(-tokens // _BLOCK)
    shape = (blocks, blocks)
    active = sp.coo_matrix((np.ones(allowed.nnz, bool), (allowed.row // _BLOCK, allowed.col // _BLOCK)), shape)
    opened = sp.kron(active.tocsr(), np.ones((_BLOCK, _BLOCK), bool), format="csr")[:tokens, :tokens]
    # blocks that contain a joint are full
    return AttentionPattern(opened, min(-(-joints // _BLOCK) * _BLOCK, tokens))


def _check(matrix: sp.csr_matrix, dense: int) -> None:
    tokens = matrix.shape[0]
    if matrix.shape[1] != tokens or (matrix != matrix.T).nnz:
        raise ValueError(f"The pattern {matrix.shape} is not symmetric.")
    if not matrix.diagonal().all():
        raise ValueError("Every token must attend to itself.")
    if (np.diff(matrix.indptr)[:dense] != tokens).any():
        raise ValueError(f"The first {dense} tokens must attend to every token.")


def _patches(graph: sp.csr_matrix, size: int) -> np.ndarray:
    """(n,) vertices, sorted so that each run of `size` is a compact patch.

    Reverse Cuthill-McKee, halved, and again in each half: plain RCM gives long bands with twice as many neighbours.
    """

    def sorted_part(part: np.ndarray) -> list[np.ndarray]:
        part = part[reverse_cuthill_mckee(graph[part][:, part], symmetric_mode=True)]
        if len(part) <= size:
            return [part]
        half = -(-len(part) // size) // 2 * size
        return sorted_part(part[:half]) + sorted_part(part[half:])

    if not graph.shape[0]:
        return np.zeros(0, np.int64)
    return np.concatenate(sorted_part(np.arange(graph.shape[0]))).astype(np.int64)


def _tiles(
    graph: sp.csr_matrix, patches: np.ndarray, dense: int, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`tile_queries`, `tile_keys`, `tile_mask` and `position` of an `AttentionPattern`."""
    count = len(patches)
    tiles = -(-count // size)
    neighbours = [np.unique(graph[patches[k * size : (k + 1) * size]].indices) for k in range(tiles)]
    widest = dense + max((len(columns) for columns in neighbours), default=0)
    keys = np.zeros((tiles, -(-widest // 8) * 8), np.int64)  # fused CUDA kernels want masks in steps of 8
    mask = np.zeros((tiles, size, keys.shape[1]), bool)
    keys[:, :dense] = np.arange(dense)
    mask[:, :, :dense] = True
    for k, columns in enumerate(neighbours):
        members = patches[k * size : (k + 1) * size]
        keys[k, dense : dense + len(columns)] = dense + columns
        mask[k, : len(members), dense : dense + len(columns)] = graph[members][:, columns].toarray()
        mask[k, len(members) :, 0] = True  # unused rows: an empty row would give NaN
    queries = np.zeros(tiles * size, np.int64)
    queries[:count] = dense + patches
    position = np.empty(count, np.int64)
    position[patches] = np.arange(count)
    return queries.reshape(tiles, size), keys, mask, position
