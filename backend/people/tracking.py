"""Who is who from one frame to the next: place, pose and clothes, matched by the Hungarian method.

Kuhn, The Hungarian Method for the Assignment Problem, 1955 (scipy's `linear_sum_assignment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from backend.people.appearance import SIZE, appearance, similarity
from backend.people.candidates import CORE, Candidate
from backend.people.person import DetectedPerson

LOST_AFTER = 60  # frames that somebody may be hidden; who comes back later is linked when the clip has ended
_GATE = 1.6  # sizes of the person that the pose may be away from where it was expected
_GATE_GROWS = 0.08  # by so much per hidden frame
_LOOKS = 0.8  # weight of the clothes
_STEADY = 0.6  # share of the last velocity that is kept
_MEMORY = 0.9  # of the clothes, per frame


@dataclass
class _Known:
    """Somebody who is being followed."""

    id: int
    number: int  # frame of the last sight
    points: np.ndarray  # (33, 3) as last seen
    world: np.ndarray  # (33, 3)
    velocity: np.ndarray  # (2,) px per frame
    looks: np.ndarray  # (SIZE,)

    def expected(self, number: int) -> Candidate:
        """Where to look in frame `number`: motion goes on, but not for ever."""
        steps = min(number - self.number, 8)
        points = self.points.copy()
        points[:, :2] += self.velocity * steps
        return Candidate(points, self.world, 1.0)


class Tracker:
    """One clip's identities.  All it knows is in `state`, so that a journal can bring it back bit by bit."""

    def __init__(self) -> None:
        self._known: list[_Known] = []
        self._next = 1

    def predictions(self, number: int) -> list[Candidate]:
        """Where everybody who is followed should be in frame `number`."""
        return [one.expected(number) for one in self._known if number - one.number <= LOST_AFTER]

    def update(
        self, number: int, pixels: np.ndarray, people: Sequence[DetectedPerson]
    ) -> tuple[list[int], list[np.ndarray]]:
        """The identity of each detection in frame `number`, counted from 1, and its `appearance`."""
        self._known = [one for one in self._known if number - one.number <= LOST_AFTER]
        found = [Candidate(p.keypoints2d.astype(float), p.keypoints3d.astype(float), p.score) for p in people]
        looks = [appearance(pixels, p.keypoints2d) for p in people]
        costs = np.array(
            [[self._cost(one, found[k], looks[k], number) for k in range(len(found))] for one in self._known]
        ).reshape(len(self._known), len(found))
        ids = [0] * len(found)
        for row, column in zip(*linear_sum_assignment(np.minimum(costs, 1e3)), strict=True):
            if costs[row, column] < 1e3:
                ids[column] = self._known[row].id
                self._see(self._known[row], found[column], looks[column], number)
        for k, candidate in enumerate(found):
            if not ids[k]:
                ids[k] = self._next
                self._next += 1
                self._known.append(
                    _Known(ids[k], number, candidate.points, candidate.world, np.zeros(2), looks[k])
                )
        return ids, looks

    @staticmethod
    def _cost(one: _Known, seen: Candidate, looks: np.ndarray, number: int) -> float:
        expected = one.expected(number)
        size = max(min(seen.size, expected.size), 1.0)
        away = seen.distance(expected) / size
        hidden = number - one.number - 1
        if away > _GATE + _GATE_GROWS * hidden or not 0.4 < seen.size / max(expected.size, 1.0) < 2.5:
            return 1e6
        return away + _LOOKS * (1 - similarity(one.looks, looks))

    @staticmethod
    def _see(one: _Known, seen: Candidate, looks: np.ndarray, number: int) -> None:
        steps = number - one.number
        moved = np.median(seen.points[CORE, :2] - one.points[CORE, :2], axis=0) / steps
        one.velocity = _STEADY * one.velocity + (1 - _STEADY) * moved
        one.number, one.points, one.world = number, seen.points, seen.world
        one.looks = (
            (_MEMORY * one.looks + (1 - _MEMORY) * looks).astype(np.float32) if looks.any() else one.looks
        )

    def state(self) -> dict[str, np.ndarray]:
        """Everything, as arrays."""
        known = self._known
        return {
            "next": np.array(self._next),
            "id": np.array([one.id for one in known], np.int64),
            "number": np.array([one.number for one in known], np.int64),
            "points": np.array([one.points for one in known]).reshape(-1, 33, 3),
            "world": np.array([one.world for one in known]).reshape(-1, 33, 3),
            "velocity": np.array([one.velocity for one in known]).reshape(-1, 2),
            "looks": np.array([one.looks for one in known], np.float32).reshape(-1, SIZE),
        }

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Tracker:
        """Back from `state`."""
        tracker = cls()
        tracker._next = int(state["next"])
        rows = zip(*(state[n] for n in ("id", "number", "points", "world", "velocity", "looks")), strict=True)
        tracker._known = [_Known(int(a), int(b), *(np.array(x) for x in rest)) for a, b, *rest in rows]
        return tracker
