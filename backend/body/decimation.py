"""A triangle mesh that loses vertices by half-edge collapses, the cheapest first.

A vertex moves onto a neighbour, so that the vertices that are left are some of the first ones.  What a collapse costs
is the quadric error (Garland and Heckbert, "Surface Simplification Using Quadric Error Metrics", 1997), and the length
of the edge to the fourth power, which keeps triangles even where the surface is flat.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import ClassVar

import numpy as np


class HalfEdgeCollapse:
    """`faces` and `around` (the faces about each vertex) hold what is left, by their first numbers.

    Subclasses may ask for more in `allowed`, weight the cost, and say how many vertices go with one.
    """

    even: float = 2e-3  # weight of edge length^4 beside the quadric error
    # of a triangle after a collapse: least double area m^2, least cosine to its old normal, least double area over its
    # longest edge squared
    least_area: ClassVar[float] = 1e-12
    least_cosine: ClassVar[float] = 0.1
    least_width: ClassVar[float] = 0.0

    def __init__(self, points: np.ndarray, faces: np.ndarray, boundary: Iterable[int]) -> None:
        """points (V, 3), faces (F, 3).  border: vertices that move along it alone."""
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
        """Take every collapse into consideration, also those that were not allowed before."""
        self._heap = [self._entry(a, b) for a in self.incident_faces for b in self.neighbours(a)]
        heapq.heapify(self._heap)

    def collapse_to(self, target: int, count: int) -> int:
        """Collapse until `target` of `count` vertices are left -> how many are: more where nothing more may go."""
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
        return {u for f in self.incident_faces[v] for u in self.faces[f]} - {v}

    def removes(self, a: int) -> int:
        """How many vertices are gone when a is."""
        return 1

    def weight(self, a: int, b: int) -> float:
        """What the cost of moving a onto b is multiplied by."""
        return 1.0

    def _entry(self, a: int, b: int) -> tuple[float, int, int, int, int]:
        """Cost of moving a onto b, with the versions that it was computed for."""
        place = np.append(self.points[b], 1.0)
        error = abs(float(place @ (self.quadric[a] + self.quadric[b]) @ place))
        length = float(((self.points[a] - self.points[b]) ** 2).sum())
        cost = (error + self.even * length * length) * self.weight(a, b)
        return cost, a, b, self._version[a], self._version[b]

    def allowed(self, a: int, b: int) -> bool:
        """Whether a may move onto b: the surface stays one, and no triangle flips or becomes a sliver."""
        near_a, near_b = self.neighbours(a), self.neighbours(b)
        shared = sum(b in self.faces[f] for f in self.incident_faces[a])
        # along a border an edge has one face; away from it only vertices of the inside move
        faces_wanted = 1 if a in self.boundary and b in self.boundary else 2
        if (a in self.boundary and b not in self.boundary) or shared != faces_wanted:
            return False
        if len(near_a & near_b) != shared:
            return False  # the link condition: the surface would pinch
        if b in self.boundary and a not in self.boundary and not (near_a & self.boundary) <= near_b | {b}:
            return False  # the border would touch itself
        return self.keeps_shape(a, b)

    def keeps_shape(self, a: int, b: int) -> bool:
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
