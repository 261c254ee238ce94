"""Graphs of ever fewer nodes over a body's mesh, for Pose2Mesh.

Heavy-edge matching (Dhillon, Guan, Kulis, "Weighted Graph Cuts without Eigenvectors", PAMI 2007) in the form that
Defferrard et al. (NIPS 2016) use: nodes are merged in pairs level by level, and fake nodes make the hierarchy a binary
tree, so that up-sampling repeats every node.  The details, slips included, are those of the original
implementation, because its released weights are bound to the graphs that it built.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import eigsh

from backend.models.pose2mesh.legacy_argsort import legacy_argsort


@dataclass(frozen=True)
class MeshGraph:
    """Levels from fine to coarse; level k has sizes[k] nodes, of which those in real[k] are not fake.

    orders[k] (sizes[k],): which vertex (cluster) of level k stands at each place, fake ones from counts[k] on; the last
    one belongs to the coarsest level, which has no Laplacian.
    adjacency[k] and laplacians[k]: (sizes[k], sizes[k]), the latter float32, rescaled to L / (2 lmax) - I.
    """

    orders: tuple[np.ndarray, ...]
    counts: tuple[int, ...]
    adjacency: tuple[sp.csr_matrix, ...]
    laplacians: tuple[sp.csr_matrix, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(order) for order in self.orders)

    def real(self, level: int) -> np.ndarray:
        """Places of the nodes that are not fake, ascending."""
        return np.flatnonzero(self.orders[level] < self.counts[level])


def mesh_graph(faces: np.ndarray, levels: int) -> MeshGraph:
    """faces (F, 3) of a mesh without isolated vertices -> its hierarchy of levels + 1 graphs (body 9, hand 6)."""
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
    """I - D^-1/2 W D^-1/2, float64; a node without edges keeps the 1 on its diagonal."""
    degree = np.asarray(adjacency.sum(0)).ravel() + np.spacing(0.0)
    scale = sp.diags(1 / np.sqrt(degree))
    return sp.csr_matrix(sp.identity(len(degree)) - scale @ adjacency @ scale)


def _rescaled(matrix: sp.csr_matrix) -> sp.csr_matrix:
    # not Defferrard's 2 L / lmax - I: the original divides where it should multiply
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
    """(n, n) symmetric weights, no empty row -> (n,) cluster of every node, one or two nodes each."""
    graph.sort_indices()
    count = graph.shape[0]
    weights = np.asarray(graph.sum(0)).ravel()
    visits = legacy_argsort(weights).tolist()
    starts = graph.indptr[:-1].tolist()
    lengths = np.diff(graph.indptr).tolist()
    # the original's scan over the rows is off by one: the first row also sees the next entry, the last lacks one
    lengths[0] += 1
    lengths[-1] -= 1
    columns, values = graph.indices.tolist(), graph.data.tolist()
    # where the formula means a node's self-loop, the original takes the first entry of its row
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
    """Sum the weights between clusters; those inside one become its self-loop."""
    coo = graph.tocoo()
    size = int(cluster.max()) + 1
    merged = sp.csr_matrix((coo.data, (cluster[coo.row], cluster[coo.col])), shape=(size, size))
    merged.sum_duplicates()
    return merged


def _tree_orders(parents: list[np.ndarray]) -> list[np.ndarray]:
    """For every level the nodes in such an order that place p has its two children at 2 p and 2 p + 1."""
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
    """Pad with isolated fake nodes, and put the nodes into the tree's order."""
    place = np.argsort(order, kind="stable")
    coo = graph.tocoo()
    arranged = sp.csr_matrix((coo.data, (place[coo.row], place[coo.col])), shape=(len(order), len(order)))
    arranged.sort_indices()
    return arranged
