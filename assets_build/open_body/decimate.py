"""Decimation by half-edge collapses: one half of the symmetric skin, to SMPL's 6890 vertices with its mirror image.

A mesh with a border (the hand) is decimated without mirroring.  Remaining vertices are a subset of the source's, so
that weights, blend shapes and UVs are taken by index.  Costs (`backend.body.decimation`) are weighted by region.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.body.decimation import HalfEdgeCollapse

TARGET = 6890
_MAX_VALENCE = 9


@dataclass
class HalfMesh:
    """Input of the decimation."""

    points: np.ndarray  # (V, 3)
    triangles: np.ndarray  # (T, 3) of the person's left half
    triangle_uv: np.ndarray  # (T, 3)
    uv: np.ndarray
    middle: np.ndarray  # (V,) bool: on the mirror plane, or on the border of an unmirrored mesh
    importance: np.ndarray  # (V,) factor of a collapse's cost
    disposable: np.ndarray  # (V,) bool: inner surfaces, where shape does not matter
    mirrored: bool = True  # vertices off the plane count twice
    even: float = 2e-3  # weight of edge length^4 relative to the quadric error


class Decimation(HalfEdgeCollapse):
    """Decimates a HalfMesh and keeps its UV seams."""

    least_area, least_cosine, least_width = 1e-9, 0.25, 0.12

    def __init__(self, half: HalfMesh) -> None:
        super().__init__(half.points, half.triangles, np.nonzero(half.middle)[0].tolist())
        self.half, self.even = half, half.even
        self.face_uv = {k: list(t) for k, t in enumerate(half.triangle_uv)}
        self._removable: np.ndarray | None = None

    def run(self, count: int, target: int = TARGET, removable: np.ndarray | None = None) -> None:
        """Collapse from `count` to `target` vertices (of both halves).

        removable: (V,) bool, vertices that may be removed; None: all.  Raises RuntimeError where it gets stuck.
        """
        self._removable = removable
        self.fill()
        count = self.collapse_to(target, count)
        if count != target:
            raise RuntimeError(f"decimation stopped at {count} vertices, wanted {target}")

    def removes(self, a: int) -> int:
        return 2 if self.half.mirrored and a not in self.boundary else 1

    def weight(self, a: int, b: int) -> float:
        h = self.half
        return float(h.importance[a] if h.disposable[a] else max(h.importance[a], h.importance[b]))

    def _seam(self, v: int) -> set[int]:
        """UV indices of a vertex: more than one on a seam."""
        return {self.face_uv[f][self.faces[f].index(v)] for f in self.incident_faces[v]}

    def allowed(self, a: int, b: int) -> bool:
        """Also: the vertex is removable, UV seams stay, no vertex gets more than _MAX_VALENCE neighbours."""
        if self._removable is not None and not self._removable[a]:
            return False
        if len(self._seam(a)) > 1 and len(self._seam(b)) < 2:
            return False
        return len(self.neighbours(a) | self.neighbours(b)) - 2 <= _MAX_VALENCE and super().allowed(a, b)

    def keeps_shape(self, a: int, b: int) -> bool:
        return bool(self.half.disposable[a]) or super().keeps_shape(a, b)

    def collapse(self, a: int, b: int) -> None:
        """Also give the moved corners the nearest UV of b."""
        choices = list(self._seam(b))
        uv = self.half.uv
        for f in self.incident_faces[a]:
            corners = self.faces[f]
            if b in corners:
                del self.face_uv[f]
                continue
            old = uv[self.face_uv[f]].mean(0)
            nearest = min(choices, key=lambda c: float(((uv[c] - old) ** 2).sum()))
            self.face_uv[f][corners.index(a)] = nearest
        super().collapse(a, b)


def split_quads(points: np.ndarray, quads: np.ndarray, quad_uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles and their UV indices, each quad split along its shorter diagonal."""
    first = np.linalg.norm(points[quads[:, 0]] - points[quads[:, 2]], axis=1)
    second = np.linalg.norm(points[quads[:, 1]] - points[quads[:, 3]], axis=1)
    cut = (first <= second)[:, None]

    def split(q: np.ndarray) -> np.ndarray:
        one = np.where(cut, q[:, [0, 1, 2]], q[:, [0, 1, 3]])
        two = np.where(cut, q[:, [0, 2, 3]], q[:, [1, 2, 3]])
        return np.concatenate([one, two])

    return split(quads), split(quad_uv)
