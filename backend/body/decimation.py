"""Mesh decimation by half-edge collapses, the cheapest first.

A vertex moves onto a neighbour, so the coarse vertices are a subset of the fine ones.  The cost is the quadric error
(Garland and Heckbert, "Surface Simplification Using Quadric Error Metrics", SIGGRAPH 1997) plus a multiple of the
edge's length to the fourth power, which keeps edges even where the surface is flat.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import ClassVar

import numpy as np


class HalfEdgeCollapse:
    """A mesh under decimation.  `faces` and `incident_faces` (per vertex) are the remaining ones, by original index.

    Subclasses may override `allowed`, `weight` and `removes`.
    """

    # weight of edge length^4 against the quadric error; origin not recorded
    even: float = 2e-3
    # of a triangle after a collapse: minimum double area m^2, cosine to its old normal, double area over its longest
    # edge squared; origin not recorded
    least_area: ClassVar[float] = 1e-12
    least_cosine: ClassVar[float] = 0.1
    least_width: ClassVar[float] = 0.0

    def __init__(self, points: np.ndarray, faces: np.ndarray, boundary: Iterable[int]) -> None:
        """points (V, 3) m, faces (F, 3).  boundary: vertices that may move along the boundary only."""
        self.points, self.boundary = points, set(boundary)
        self.faces: dict[int, tuple[int, int, int]] = {k: (a, b, c) for k, (a, b, c) in enumerate(faces.tolist())}
        self.incident_faces: dict[int, set[int]] = {}
        for k, corners in self.faces.items():
            for v in corners:
                self.incident_faces.setdefault(v, set()).add(k)
        self._version = dict.fromkeys(self.incident_faces, 0)
        a, b, c = (points[faces[:, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        area = np.linalg.norm(normal, axis=1, keepdims=True) + 1e-15
        self.normals = normal / area
        plane = np.concatenate([self.normals, -(self.normals * a).sum(1, keepdims=True)], 1)
        weighted = plane[:, :, None] * plane[:, None] * area[:, :, None] / 6
        self.quadric = np.zeros((len(points), 4, 4))
        for k in range(3):
            np.add.at(self.quadric, faces[:, k], weighted)
        self._heap: list[tuple[float, int, int, int, int]] = []

    def fill(self) -> None:
        """Queue all collapses, also those that were not allowed before."""
        self._heap = [self._entry(a, b) for a in self.incident_faces for b in self.neighbours(a)]
        heapq.heapify(self._heap)

    def collapse_to(self, target: int, count: int) -> int:
        """Collapse from `count` to `target` vertices -> vertices left, more than `target` where none may collapse."""
        while count > target and self._heap:
            _, a, b, version_a, version_b = heapq.heappop(self._heap)
            if self._version.get(a) != version_a or self._version.get(b) != version_b:
                continue
            if count - target < self.removes(a) or not self.allowed(a, b):
                continue
            count -= self.removes(a)
            self.collapse(a, b)
            for u in self.neighbours(b):
                heapq.heappush(self._heap, self._entry(b, u))
                heapq.heappush(self._heap, self._entry(u, b))
        return count

    def neighbours(self, v: int) -> set[int]:
        """The vertices that share an edge with v."""
        return {u for f in self.incident_faces[v] for u in self.faces[f]} - {v}

    def removes(self, a: int) -> int:
        """Number of vertices that are removed together with a, itself included."""
        return 1

    def weight(self, a: int, b: int) -> float:
        """Factor of the cost of moving a onto b."""
        return 1.0

    def _entry(self, a: int, b: int) -> tuple[float, int, int, int, int]:
        """(cost of moving a onto b, a, b, versions of a and b that it holds for)."""
        target = np.append(self.points[b], 1.0)
        error = abs(float(target @ (self.quadric[a] + self.quadric[b]) @ target))
        length = float(((self.points[a] - self.points[b]) ** 2).sum())
        cost = (error + self.even * length * length) * self.weight(a, b)
        return cost, a, b, self._version[a], self._version[b]

    def allowed(self, a: int, b: int) -> bool:
        """Whether a may move onto b: the surface stays a manifold, and no triangle flips or becomes a sliver."""
        near_a, near_b = self.neighbours(a), self.neighbours(b)
        shared = sum(b in self.faces[f] for f in self.incident_faces[a])
        # an edge of the boundary has one face; onto other edges' ends only inner vertices move
        faces_wanted = 1 if a in self.boundary and b in self.boundary else 2
        if (a in self.boundary and b not in self.boundary) or shared != faces_wanted:
            return False
        if len(near_a & near_b) != shared:
            return False  # the link condition: the surface would pinch
        if b in self.boundary and a not in self.boundary and not (near_a & self.boundary) <= near_b | {b}:
            return False  # the boundary would touch itself
        return self.keeps_shape(a, b)

    def keeps_shape(self, a: int, b: int) -> bool:
        """Whether no triangle flips or becomes a sliver when a moves onto b."""
        for f in self.incident_faces[a]:
            corners = self.faces[f]
            if b in corners:
                continue
            before = self.points[list(corners)]
            after = self.points[[b if v == a else v for v in corners]]
            old, new = (np.cross(t[1] - t[0], t[2] - t[0]) for t in (before, after))
            size = np.linalg.norm(new)
            if size <= self.least_area or new @ old < self.least_cosine * size * np.linalg.norm(old):
                return False
            longest = max(((after[k] - after[k - 1]) ** 2).sum() for k in range(3))
            if size / longest < self.least_width:
                return False
        return True

    def collapse(self, a: int, b: int) -> None:
        """Move a onto b."""
        for f in list(self.incident_faces[a]):
            corners = self.faces[f]
            if b in corners:
                for v in corners:
                    self.incident_faces[v].discard(f)
                del self.faces[f]
            else:
                p, q, r = (b if v == a else v for v in corners)
                self.faces[f] = (p, q, r)
                self.incident_faces[b].add(f)
        self.quadric[b] += self.quadric[a]
        del self.incident_faces[a], self._version[a]
        self._version[b] += 1
