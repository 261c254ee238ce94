"""Who is who from one frame to the next: place, pose and clothes, matched by the Hungarian method.

Kuhn, The Hungarian Method for the Assignment Problem, 1955 (scipy's `linear_sum_assignment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from backend.people.detect.candidates import CORE, Candidate, Expected
from backend.people.detect.region import Region
from backend.people.track.appearance import SIZE, appearance, similarity
from backend.structures import DetectedPerson

LOST_AFTER = 2.0  # s that somebody may be hidden; who comes back later is linked when the clip has ended
_GATE = 1.6  # sizes of the person that the pose may be away from where it was expected
_GATE_GROWS = 2.4  # by so much per second since the last sight
_GOES_ON = 0.5  # s for which a motion is expected to go on
_LOOKS = 0.8  # weight of the clothes
_STEADY = 2e-7  # share of the last velocity of the body that is left after a second
_MEMORY = 0.04  # of the clothes, after a second
_CROWDED = 0.1  # share of a box that lies over another: the clothes are not only one's own
_UNSEEN = 0.3  # visibility below which a limb's motion is a guess


@dataclass
class _Known:
    """Somebody who is being followed.  Times are in s, velocities in px / s."""

    id: int
    number: int  # frame of the last sight
    points: np.ndarray  # (33, 3) as last seen
    world: np.ndarray  # (33, 3)
    velocity: np.ndarray  # (2,) of the body
    limbs: np.ndarray  # (33, 2) of the landmarks against the body, at the last sight
    looks: np.ndarray  # (SIZE,)
    around: np.ndarray  # (4,) `Region.array`, as last seen


class Tracker:
    """One clip's identities.  All it knows is in `state`, so that a journal can bring it back bit by bit."""

    def __init__(self, fps: float = 30.0, step: int = 1) -> None:
        """fps: of the clip.  step: every so many frames are read."""
        self._fps, self._step = fps, step
        self._known: list[_Known] = []
        self._next = 1
        self._last = -1  # frame

    def predictions(self, number: int) -> list[Expected]:
        """Where everybody who is followed should be in frame `number`."""
        return [self._expected(one, number) for one in self._followed(number)]

    def _followed(self, number: int) -> list[_Known]:
        return [one for one in self._known if self._since(one, number) <= LOST_AFTER]

    def _since(self, one: _Known, number: int) -> float:
        """s since the last sight; 0 in the frame after it."""
        return (number - one.number - self._step) / self._fps

    def _expected(self, one: _Known, number: int) -> Expected:
        """Motion goes on, but not for ever; that of the limbs only for one step."""
        step = self._step / self._fps
        seconds = (number - one.number) / self._fps
        points = one.points.copy()
        moved = one.velocity * min(seconds, max(step, _GOES_ON))
        points[:, :2] += moved
        points[:, :2] += one.limbs * min(seconds, step, _GOES_ON)
        around = Region.from_array(one.around).moved(moved)
        lately, hidden = one.number == self._last, max(self._since(one, number), 0.0)
        return Expected(points, one.world.copy(), 1.0, around, lately, hidden)

    def update(
        self, number: int, pixels: np.ndarray, people: Sequence[DetectedPerson], scale: float = 1.0
    ) -> tuple[list[int], list[np.ndarray]]:
        """The identity of each detection in frame `number`, counted from 1, and its `appearance`.

        pixels: the frame, `scale` times as large as what the people's keypoints are in.
        """
        self._known = self._followed(number)
        found = [
            Candidate(
                p.keypoints2d.astype(float),
                p.keypoints3d.astype(float),
                p.score,
                None if p.around is None else Region.from_array(p.around),
            )
            for p in people
        ]
        embeddings = [appearance(pixels, _scaled(p.keypoints2d, scale)) for p in people]
        costs = np.array(
            [
                [self._cost(one, found[k], embeddings[k], number) for k in range(len(found))]
                for one in self._known
            ]
        ).reshape(len(self._known), len(found))
        ids = [0] * len(found)
        crowded = _crowded([p.box for p in people])
        for row, column in zip(*linear_sum_assignment(np.minimum(costs, 1e3)), strict=True):
            if costs[row, column] < 1e3:
                ids[column] = self._known[row].id
                embedding = None if crowded[column] else embeddings[column]
                self._see(self._known[row], found[column], embedding, number)
        for k, candidate in enumerate(found):
            if not ids[k]:
                ids[k] = self._next
                self._next += 1
                still = np.zeros(2), np.zeros((33, 2))
                around = candidate.region.array()
                self._known.append(
                    _Known(ids[k], number, candidate.points, candidate.world, *still, embeddings[k], around)
                )
        self._last = number
        return ids, embeddings

    def _cost(self, one: _Known, seen: Candidate, looks: np.ndarray, number: int) -> float:
        expected = self._expected(one, number)
        size = max(min(seen.size, expected.size), 1.0)
        away = seen.distance(expected) / size
        gate = _GATE + _GATE_GROWS * (number - one.number - 1) / self._fps
        if away > gate or not 0.4 < seen.size / max(expected.size, 1.0) < 2.5:
            return 1e6
        return away + _LOOKS * (1 - similarity(one.looks, looks))

    def _see(self, one: _Known, seen: Candidate, looks: np.ndarray | None, number: int) -> None:
        """looks: None where somebody else's clothes are in them."""
        seconds = (number - one.number) / self._fps
        moved = (seen.points[:, :2] - one.points[:, :2]) / seconds
        body = np.median(moved[CORE], axis=0)
        keep = _STEADY**seconds
        guess = (seen.points[:, 2:] < _UNSEEN) | (one.points[:, 2:] < _UNSEEN)
        one.limbs = np.where(guess, 0.5 * one.limbs, moved - body)
        one.velocity = keep * one.velocity + (1 - keep) * body
        one.number, one.points, one.world = number, seen.points, seen.world
        one.around = seen.region.array()
        if looks is not None and looks.any():
            keep = _MEMORY**seconds
            one.looks = (keep * one.looks + (1 - keep) * looks).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """Everything, as arrays."""
        known = self._known
        return {
            "next": np.array(self._next),
            "last": np.array(self._last),
            "id": np.array([one.id for one in known], np.int64),
            "number": np.array([one.number for one in known], np.int64),
            "points": np.array([one.points for one in known]).reshape(-1, 33, 3),
            "world": np.array([one.world for one in known]).reshape(-1, 33, 3),
            "velocity": np.array([one.velocity for one in known]).reshape(-1, 2),
            "limbs": np.array([one.limbs for one in known]).reshape(-1, 33, 2),
            "looks": np.array([one.looks for one in known], np.float32).reshape(-1, SIZE),
            "around": np.array([one.around for one in known]).reshape(-1, 4),
        }

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray], fps: float = 30.0, step: int = 1) -> Tracker:
        """Back from `state`; fps and step as before."""
        tracker = cls(fps, step)
        tracker._next, tracker._last = int(state["next"]), int(state["last"])
        names = ("id", "number", "points", "world", "velocity", "limbs", "looks", "around")
        rows = zip(*(state[name] for name in names), strict=True)
        tracker._known = [_Known(int(a), int(b), *(np.array(x) for x in rest)) for a, b, *rest in rows]
        return tracker


def _scaled(points: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return points
    points = points.copy()
    points[:, :2] = (points[:, :2] + 0.5) * scale - 0.5
    return points


def _crowded(boxes: Sequence[np.ndarray]) -> list[bool]:
    """Which of the boxes (4,) another one lies over."""

    def over(a: np.ndarray, b: np.ndarray) -> bool:
        sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
        return bool(np.prod(sides) > _CROWDED * max(np.prod(a[2:] - a[:2]), 1e-6))

    return [any(over(a, b) for k, b in enumerate(boxes) if k != m) for m, a in enumerate(boxes)]
