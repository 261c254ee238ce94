"""Coarser meshes of any body or hand mesh, with down- and upsampling matrices, for networks with coarse outputs.

Every coarse vertex is a fine vertex (`decimation`).  Upsampling interpolates each fine vertex on the coarse triangle
nearest to it.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from backend.atomic import atomic_path
from backend.body.decimation import HalfEdgeCollapse
from backend.errors import BadInput, RecoverMeshError
from backend.paths import cache_dir

LEVELS = (1723, 431)  # vertices; as METRO and its successors use for SMPL's 6890
_VERSION = 1  # of the cached files


@dataclass(frozen=True)
class Level:
    """One coarse mesh.  down (v, V) and up (V, v): to and from the full mesh's V vertices; rows sum to 1."""

    vertices: np.ndarray  # (v,) indices into the full mesh, ascending
    faces: np.ndarray  # (f, 3) indices into `vertices`
    down: sp.csr_matrix
    up: sp.csr_matrix


def mesh_hierarchy(vertices: np.ndarray, faces: np.ndarray, levels: tuple[int, ...] = LEVELS) -> list[Level]:
    """vertices (V, 3) m, rest pose; faces (F, 3) -> one Level per vertex count in `levels`, finest first.

    The surface is closed, or its boundaries are loops of at least four edges, which stay boundaries and keep their
    shape.  Results are cached on disk by a hash of the mesh.  Raises BadInput `bad_mesh` where the mesh is not such
    surface or cannot be simplified that far.
    """
    points, triangles = np.asarray(vertices, np.float64), np.asarray(faces, np.int64)
    _check_surface(triangles)
    digest = hashlib.sha256(points.tobytes() + triangles.tobytes() + repr((levels, _VERSION)).encode()).hexdigest()
    simplified = _load_cached(digest, len(levels))
    if simplified is None:
        simplified = _simplify(points, triangles, levels)
        _save_cached(digest, simplified)
    return [_level(points, kept, coarse) for kept, coarse in simplified]


def _cache_file(digest: str) -> Path:
    return cache_dir() / f"hierarchy-{digest[:20]}.npz"


def _load_cached(digest: str, count: int) -> list[tuple[np.ndarray, np.ndarray]] | None:
    try:
        with np.load(_cache_file(digest), allow_pickle=False) as stored:
            return [(stored[f"vertices{k}"], stored[f"faces{k}"]) for k in range(count)]
    except Exception:
        return None  # absent, unreadable or damaged: it is computed again


def _save_cached(digest: str, simplified: list[tuple[np.ndarray, np.ndarray]]) -> None:
    arrays = {f"vertices{k}": kept for k, (kept, _) in enumerate(simplified)}
    arrays |= {f"faces{k}": faces for k, (_, faces) in enumerate(simplified)}
    # several ranks of a training may write at once; the cache is optional, so errors of writing are ignored
    with contextlib.suppress(RecoverMeshError), atomic_path(_cache_file(digest)) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def _check_surface(faces: np.ndarray) -> None:
    """Raises `bad_mesh` unless faces are consistently oriented and boundaries are loops without common vertices."""
    edges = _directed_edges(faces)
    if len(np.unique(edges, axis=0)) == len(edges) and (edges[:, 0] != edges[:, 1]).all():
        boundary = _boundary_edges(edges)
        starts, ends = np.sort(boundary[:, 0]), np.sort(boundary[:, 1])
        once = len(np.unique(starts)) == len(starts)
        if once and np.array_equal(starts, ends) and not _has_triangle_loop(boundary):
            return
    raise BadInput(
        "bad_mesh",
        "The mesh is not a closed surface, nor one with clean borders.",
        "Close its holes and merge double vertices.",
    )


def _directed_edges(faces: np.ndarray) -> np.ndarray:
    """(3 F, 2) the edges of each face, in its direction."""
    return np.concatenate([faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])


def _boundary_edges(directed_edges: np.ndarray) -> np.ndarray:
    """(B, 2) the edges without an opposite one."""
    base = int(directed_edges.max(initial=0)) + 1
    start, end = directed_edges.T
    return directed_edges[~np.isin(start * base + end, end * base + start)]


def _has_triangle_loop(boundary: np.ndarray) -> bool:
    """Whether a boundary has three edges: that is a missing triangle."""
    after = dict(boundary.tolist())
    return any(after[after[b]] == a for a, b in after.items())


def _level(points: np.ndarray, kept: np.ndarray, coarse: np.ndarray) -> Level:
    count, few = len(points), len(kept)
    down = sp.csr_matrix((np.ones(few), (np.arange(few), kept)), shape=(few, count))
    corners, shares = _nearest_on_surface(points, points[kept], coarse)
    # the coarse vertices themselves are not interpolated
    corners[kept], shares[kept] = np.arange(few)[:, None], [1.0, 0.0, 0.0]
    rows = np.repeat(np.arange(count), 3)
    up = sp.csr_matrix((shares.ravel(), (rows, corners.ravel())), shape=(count, few))
    up.eliminate_zeros()
    return Level(kept, coarse, down, up)


class _Mesh(HalfEdgeCollapse):
    """A surface whose boundaries keep their shape."""

    def __init__(self, points: np.ndarray, faces: np.ndarray) -> None:
        boundary = _boundary_edges(_directed_edges(faces))
        super().__init__(points, faces, boundary[:, 0].tolist())
        # a plane through each boundary edge, perpendicular to its face (Garland and Heckbert 1997, section 6)
        for a, b in boundary.tolist():
            (face,) = self.incident_faces[a] & self.incident_faces[b]
            along = points[b] - points[a]
            boundary_normal = np.cross(along, self.normals[face])
            length = float(np.linalg.norm(boundary_normal)) + 1e-15
            plane = np.append(boundary_normal / length, -(boundary_normal / length) @ points[a])
            self.quadric[[a, b]] += np.outer(plane, plane) * length * length / 6

    def allowed(self, a: int, b: int) -> bool:
        """As in the base class; a tetrahedron does not collapse either."""
        return len(self.neighbours(a) | self.neighbours(b)) > 4 and super().allowed(a, b)


def _simplify(points: np.ndarray, faces: np.ndarray, levels: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    mesh = _Mesh(points, faces)
    mesh.fill()
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for target in levels:
        if mesh.collapse_to(target, len(mesh.incident_faces)) != target:
            raise BadInput(
                "bad_mesh",
                f"The mesh cannot be simplified to {target} vertices, only to {len(mesh.incident_faces)}.",
                "Give a triangle mesh with more vertices than that.",
            )
        kept = np.array(sorted(mesh.incident_faces))
        index = {int(v): k for k, v in enumerate(kept)}
        found.append((kept, np.array([[index[v] for v in corners] for corners in mesh.faces.values()])))
    return found


def _nearest_on_surface(
    points: np.ndarray, corners: np.ndarray, faces: np.ndarray, near: int = 24
) -> tuple[np.ndarray, np.ndarray]:
    """-> (N, 3) corners of the triangle nearest to each point, (N, 3) barycentric weights of the nearest position.

    Only the `near` triangles with the nearest centres are tested.
    """
    from scipy.spatial import cKDTree

    triangles = corners[faces]
    _, candidates = cKDTree(triangles.mean(1)).query(points, k=min(near, len(faces)))
    best = np.full(len(points), np.inf)
    chosen, shares = np.zeros(len(points), np.int64), np.zeros((len(points), 3))
    for column in candidates.T:
        weights = _barycentric(points, triangles[column])
        gap = (weights[:, :, None] * triangles[column]).sum(1) - points
        distance = (gap**2).sum(1)
        closer = distance < best
        best[closer], chosen[closer], shares[closer] = distance[closer], column[closer], weights[closer]
    return faces[chosen], shares


def _barycentric(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(N, 3) barycentric weights of each triangle's position nearest to its point (Ericson 2005, section 5.1.5)."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    options = [_on_edge(points, a, b, (0, 1)), _on_edge(points, b, c, (1, 2)), _on_edge(points, c, a, (2, 0))]
    ab, ac, ap = b - a, c - a, points - a
    d11, d12, d22 = ((u * v).sum(1) for u, v in ((ab, ab), (ab, ac), (ac, ac)))
    e1, e2 = (ap * ab).sum(1), (ap * ac).sum(1)
    size = np.maximum(d11 * d22 - d12 * d12, 1e-30)
    v, w = (d22 * e1 - d12 * e2) / size, (d11 * e2 - d12 * e1) / size
    inner = np.stack([1 - v - w, v, w], 1)
    gaps = [(option[:, :, None] * triangles).sum(1) - points for option in options]
    distance = np.stack([(gap**2).sum(1) for gap in gaps])
    edge = np.array(options)[distance.argmin(0), np.arange(len(points))]
    return np.where((inner >= 0).all(1)[:, None], inner, edge)


def _on_edge(points: np.ndarray, start: np.ndarray, end: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """(N, 3) barycentric weights of the position nearest to each point on the edge between two corners."""
    along = end - start
    t = np.clip(((points - start) * along).sum(1) / np.maximum((along**2).sum(1), 1e-30), 0, 1)
    weights = np.zeros((len(points), 3))
    weights[:, corner[0]], weights[:, corner[1]] = 1 - t, t
    return weights
