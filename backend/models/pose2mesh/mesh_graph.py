"""Hierarchy of coarser and coarser graphs over a body's mesh, for Pose2Mesh.

Heavy-edge matching (Dhillon, Guan, Kulis, "Weighted Graph Cuts without Eigenvectors", PAMI 2007) as in Defferrard et
al. (NIPS 2016): each level merges nodes in pairs, and fake nodes make the hierarchy a binary tree, so that upsampling
repeats every node.  The details, mistakes included, are those of the original implementation: its released weights
depend on the graphs that it built.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import eigsh

from backend.models.pose2mesh.legacy_argsort import legacy_argsort


@dataclass(frozen=True)
class MeshGraph:
    """Levels from fine to coarse; level k has sizes[k] nodes, of which those in `real(k)` are not fake.

    orders[k] (sizes[k],): vertex (k = 0) or cluster of each node; fake nodes have numbers from counts[k] on.
    adjacency[k] and laplacians[k]: (sizes[k], sizes[k]), the latter float32, rescaled to L / (2 lmax) - I; the coarsest
    level has no Laplacian.
    """

    orders: tuple[np.ndarray, ...]
    counts: tuple[int, ...]
    adjacency: tuple[sp.csr_matrix, ...]
    laplacians: tuple[sp.csr_matrix, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(order) for order in self.orders)

    def real(self, level: int) -> np.ndarray:
        """Indices of the nodes that are not fake, ascending."""
        return np.flatnonzero(self.orders[level] < self.counts[level])


def mesh_graph(faces: np.ndarray, levels: int) -> MeshGraph:
    """The hierarchy of levels + 1 graphs.  faces (F, 3): of a mesh without isolated nodes; levels: body 9, hand 6."""
    graph = _edges(faces)
    graphs, parents = [graph], []
    for _ in range(levels):
        parent = heavy_edge_matching(graph)
        graph = _merge(graph, parent)
        parents.append(parent)
        graphs.append(graph)
    orders = _tree_orders(parents)
    adjacency = [
        _arrange(g, order) if k < levels else g for k, (g, order) in enumerate(zip(graphs, orders, strict=True))
    ]
    return MeshGraph(
        orders=tuple(orders),
        counts=tuple(g.shape[0] for g in graphs),
        adjacency=tuple(adjacency),
        laplacians=tuple(_rescaled(laplacian(a)) for a in adjacency[:levels]),
    )


def laplacian(adjacency: sp.csr_matrix) -> sp.csr_matrix:
    """Normalised Laplacian I - D^-1/2 W D^-1/2, float64; a node without edges has 1 on its diagonal."""
    degree = np.asarray(adjacency.sum(0)).ravel() + np.spacing(0.0)
    scale = sp.diags(1 / np.sqrt(degree))
    return sp.csr_matrix(sp.identity(len(degree)) - scale @ adjacency @ scale)


def _rescaled(matrix: sp.csr_matrix) -> sp.csr_matrix:
    # as the original: it divides by 2 instead of multiplying (Defferrard: 2 L / lmax - I)
    start = np.random.RandomState(0).standard_normal(matrix.shape[0])
    largest = eigsh(matrix, k=1, which="LM", return_eigenvectors=False, v0=start)[0]
    scaled = sp.csr_matrix(matrix / (2 * largest) - sp.identity(matrix.shape[0]), dtype=np.float32)
    scaled.sort_indices()
    return scaled


def _edges(faces: np.ndarray) -> sp.csr_matrix:
    count = int(faces.max()) + 1
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    graph = sp.csr_matrix((np.ones(2 * len(a)), (np.concatenate([a, b]), np.concatenate([b, a]))), shape=(count, count))
    graph.data[:] = 1.0
    return graph


def heavy_edge_matching(graph: sp.csr_matrix) -> np.ndarray:
    """(n,) cluster of every node, one or two nodes each.  graph (n, n): symmetric weights, no empty row."""
    graph.sort_indices()
    count = graph.shape[0]
    weights = np.asarray(graph.sum(0)).ravel()
    visits = legacy_argsort(weights).tolist()
    starts = graph.indptr[:-1].tolist()
    lengths = np.diff(graph.indptr).tolist()
    # the original's scan is off by one: the first row includes the next row's first entry, the last row lacks one
    lengths[0] += 1
    lengths[-1] -= 1
    columns, values = graph.indices.tolist(), graph.data.tolist()
    # in place of a node's self-loop, the original takes the first entry of its row
    own = [values[s] for s in starts]
    weight = weights.tolist()
    cluster = [-1] * count
    clusters = 0
    for node in visits:
        if cluster[node] >= 0:
            continue
        cluster[node] = clusters
        best, partner = 0.0, -1
        for k in range(starts[node], starts[node] + lengths[node]):
            other = columns[k]
            if cluster[other] >= 0:
                continue
            score = (2.0 * values[k] + own[node] + own[other]) / (weight[node] + weight[other] + 1e-9)
            if score > best:
                best, partner = score, other
        if partner >= 0:
            cluster[partner] = clusters
        clusters += 1
    return np.array(cluster, np.int64)


def _merge(graph: sp.csr_matrix, cluster: np.ndarray) -> sp.csr_matrix:
    """The graph of clusters: weights between clusters are summed; those inside one become its self-loop."""
    coo = graph.tocoo()
    size = int(cluster.max()) + 1
    merged = sp.csr_matrix((coo.data, (cluster[coo.row], cluster[coo.col])), shape=(size, size))
    merged.sum_duplicates()
    return merged


def _tree_orders(parents: list[np.ndarray]) -> list[np.ndarray]:
    """Per level the order of the nodes in which node p's children are 2 p and 2 p + 1, fine to coarse."""
    order = list(range(int(parents[-1].max()) + 1))
    orders = [order]
    for parent in reversed(parents):
        children: list[list[int]] = [[] for _ in range(int(parent.max()) + 1)]
        for child, node in enumerate(parent.tolist()):
            children[node].append(child)
        fake = len(parent)
        finer: list[int] = []
        for node in order:
            pair = list(children[node]) if node < len(children) else []
            while len(pair) < 2:
                pair.append(fake)
                fake += 1
            finer += pair
        orders.append(finer)
        order = finer
    return [np.array(o, np.int64) for o in reversed(orders)]


def _arrange(graph: sp.csr_matrix, order: np.ndarray) -> sp.csr_matrix:
    """The graph with its nodes in the tree's order, padded with isolated fake nodes."""
    position = np.argsort(order, kind="stable")
    coo = graph.tocoo()
    arranged = sp.csr_matrix((coo.data, (position[coo.row], position[coo.col])), shape=(len(order), len(order)))
    arranged.sort_indices()
    return arranged
