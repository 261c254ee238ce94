"""One half of the symmetric skin, simplified by half-edge collapses and mirrored, to exactly SMPL's 6890 vertices.

A piece with a border (the hand) is simplified alike, without a mirror image.

Surviving vertices are a subset of the source's, so that weights, shapes and UVs carry over by index.  Collapses follow
the quadric error (Garland and Heckbert 1997) plus a term that keeps edges even, weighted by region.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

TARGET = 6890
_MAX_VALENCE = 9


@dataclass
class Half:
    """What the decimation is told.  Only vertices with side >= 0 are touched."""

    points: np.ndarray  # (V, 3)
    triangles: np.ndarray  # (T, 3) of the person's left half
    triangle_uv: np.ndarray  # (T, 3)
    uv: np.ndarray
    middle: np.ndarray  # (V,) bool: on the mirror plane, or on the border of a lone piece
    importance: np.ndarray  # (V,): a collapse's cost is multiplied by it
    disposable: np.ndarray  # (V,) bool: inner surfaces, where shape does not matter
    mirrored: bool = True  # False: a lone piece, of which every vertex counts once
    even: float = 2e-3  # weight of edge length^4 beside the quadric error


class Decimation:
    def __init__(self, half: Half) -> None:
        self.half = half
        self.faces = {k: list(t) for k, t in enumerate(half.triangles)}
        self.face_uv = {k: list(t) for k, t in enumerate(half.triangle_uv)}
        self.around: dict[int, set[int]] = {}
        for k, corners in self.faces.items():
            for v in corners:
                self.around.setdefault(v, set()).add(k)
        self.version = dict.fromkeys(self.around, 0)
        self.quadric = np.zeros((len(half.points), 4, 4))
        for corners in half.triangles:
            a, b, c = half.points[corners]
            normal = np.cross(b - a, c - a)
            area = np.linalg.norm(normal) + 1e-15
            plane = np.append(normal / area, -(normal / area) @ a)
            self.quadric[corners] += np.outer(plane, plane) * area / 6

    def run(self, count: int, target: int = TARGET, removable: np.ndarray | None = None) -> None:
        """Collapse until the whole (both halves) has `target` vertices; `count` is where it starts.

        removable: (V,) bool, the vertices that may go; None: all.
        """
        heap = [entry for v in self.around for u in self.neighbours(v) for entry in self._entries(v, u)[:1]]
        heapq.heapify(heap)
        while count > target and heap:
            _, a, b, version_a, version_b = heapq.heappop(heap)
            if self.version.get(a) != version_a or self.version.get(b) != version_b:
                continue
            step = 2 if self.half.mirrored and not self.half.middle[a] else 1
            if count - target < step or (removable is not None and not removable[a]):
                continue
            if not self._allowed(a, b):
                continue
            self._collapse(a, b)
            count -= step
            for u in self.neighbours(b):
                for entry in self._entries(b, u):
                    heapq.heappush(heap, entry)
        if count != target:
            raise RuntimeError(f"decimation stopped at {count} vertices, wanted {target}")

    def neighbours(self, v: int) -> set[int]:
        return {u for f in self.around[v] for u in self.faces[f]} - {v}

    def _entries(self, v: int, u: int) -> list[tuple]:
        return [(self._cost(a, b), a, b, self.version[a], self.version[b]) for a, b in ((v, u), (u, v))]

    def _cost(self, a: int, b: int) -> float:
        h = self.half
        place = np.append(h.points[b], 1)
        error = abs(place @ (self.quadric[a] + self.quadric[b]) @ place)
        length = ((h.points[a] - h.points[b]) ** 2).sum()
        weight = h.importance[a] if h.disposable[a] else max(h.importance[a], h.importance[b])
        return float((error + h.even * length * length) * weight)

    def _seam(self, v: int) -> set[int]:
        """UV indices under which a vertex is used: more than one on a seam."""
        return {self.face_uv[f][self.faces[f].index(v)] for f in self.around[v]}

    def _allowed(self, a: int, b: int) -> bool:
        h = self.half
        near_a, near_b = self.neighbours(a), self.neighbours(b)
        shared = [f for f in self.around[a] if b in self.faces[f]]
        common = near_a & near_b
        if h.middle[a] and (not h.middle[b] or len(shared) != 1):
            return False
        if len(common) != len(shared) or (not h.middle[a] and len(shared) != 2):
            return False  # the link condition: the surface would pinch
        if h.middle[b] and not h.middle[a] and any(h.middle[c] and c not in near_b for c in near_a - {b}):
            return False  # a chord between two vertices of the plane would be mirrored onto itself
        if len(self._seam(a)) > 1 and len(self._seam(b)) < 2:
            return False
        if len(near_a | near_b) - 2 > _MAX_VALENCE:
            return False
        return h.disposable[a] or all(
            self._keeps_shape(f, a, b) for f in self.around[a] if b not in self.faces[f]
        )

    def _keeps_shape(self, f: int, a: int, b: int) -> bool:
        """No triangle flips or becomes a sliver."""
        points = self.half.points
        before = points[self.faces[f]]
        after = points[[b if v == a else v for v in self.faces[f]]]
        old, new = (np.cross(t[1] - t[0], t[2] - t[0]) for t in (before, after))
        size = np.linalg.norm(new)
        longest = max(((after[k] - after[k - 1]) ** 2).sum() for k in range(3))
        flips = new @ old < 0.25 * size * np.linalg.norm(old)
        return bool(size > 1e-9 and not flips and size / longest >= 0.12)

    def _collapse(self, a: int, b: int) -> None:
        choices = list(self._seam(b))
        for f in list(self.around[a]):
            corners = self.faces[f]
            if b in corners:
                for v in corners:
                    self.around[v].discard(f)
                del self.faces[f], self.face_uv[f]
                continue
            k = corners.index(a)
            uv = self.half.uv
            old = uv[self.face_uv[f]].mean(0)
            self.face_uv[f][k] = min(choices, key=lambda c: float(((uv[c] - old) ** 2).sum()))
            corners[k] = b
            self.around[b].add(f)
        self.quadric[b] += self.quadric[a]
        del self.around[a], self.version[a]
        self.version[b] += 1


def split_quads(points: np.ndarray, quads: np.ndarray, quad_uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each quad along its shorter diagonal -> triangles and their UV indices."""
    first = np.linalg.norm(points[quads[:, 0]] - points[quads[:, 2]], axis=1)
    second = np.linalg.norm(points[quads[:, 1]] - points[quads[:, 3]], axis=1)
    cut = (first <= second)[:, None]

    def split(q: np.ndarray) -> np.ndarray:
        one = np.where(cut, q[:, [0, 1, 2]], q[:, [0, 1, 3]])
        two = np.where(cut, q[:, [0, 2, 3]], q[:, [1, 2, 3]])
        return np.concatenate([one, two])

    return split(quads), split(quad_uv)
