"""Who is who from one frame to the next: place, pose and clothes, matched by the Hungarian method.

Kuhn, The Hungarian Method for the Assignment Problem, 1955 (scipy's `linear_sum_assignment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from backend.people.detect.candidates import CORE, Candidate, PredictedPose
from backend.people.detect.region import Region
from backend.people.track.appearance import SIZE, appearance, similarity
from backend.structures import DetectedPerson

LOST_AFTER = 2.0  # s that somebody may be hidden; who comes back later is linked when the clip has ended
_GATE = 1.6  # sizes of the person that the pose may be away from where it was expected
_GATE_GROWTH = 2.4  # by so much per second since the last sight
_MAX_EXTRAPOLATION = 0.5  # s for which a motion is expected to go on
_APPEARANCE_WEIGHT = 0.8  # weight of the clothes
_VELOCITY_DECAY = 2e-7  # share of the last velocity of the body that is left after a second
_APPEARANCE_DECAY = 0.04  # of the clothes, after a second
_MAX_OVERLAP = 0.1  # share of a box that lies over another: the clothes are not only one's own
_UNSEEN = 0.3  # visibility below which a limb's motion is a guess


@dataclass
class _TrackState:
    """Somebody who is being followed.  Times are in s, velocities in px / s."""

    id: int
    number: int  # frame of the last sight
    points: np.ndarray  # (33, 3) as last seen
    world: np.ndarray  # (33, 3)
    velocity: np.ndarray  # (2,) of the body
    limbs: np.ndarray  # (33, 2) of the landmarks against the body, at the last sight
    embedding: np.ndarray  # (SIZE,)
    roi: np.ndarray  # (4,) `Region.array`, as last seen


class Tracker:
    """One clip's identities.  All it knows is in `state`, so that a journal can bring it back bit by bit."""

    def __init__(self, fps: float = 30.0, step: int = 1) -> None:
        """fps: of the clip.  step: every so many frames are read."""
        self._fps, self._step = fps, step
        self._tracks: list[_TrackState] = []
        self._next = 1
        self._last = -1  # frame

    def predictions(self, number: int) -> list[PredictedPose]:
        """Where everybody who is followed should be in frame `number`."""
        return [self._predict(one, number) for one in self._active(number)]

    def _active(self, number: int) -> list[_TrackState]:
        return [one for one in self._tracks if self._seconds_unseen(one, number) <= LOST_AFTER]

    def _seconds_unseen(self, one: _TrackState, number: int) -> float:
        """s since the last sight; 0 in the frame after it."""
        return (number - one.number - self._step) / self._fps

    def _predict(self, one: _TrackState, number: int) -> PredictedPose:
        """Motion goes on, but not for ever; that of the limbs only for one step."""
        step = self._step / self._fps
        seconds = (number - one.number) / self._fps
        points = one.points.copy()
        moved = one.velocity * min(seconds, max(step, _MAX_EXTRAPOLATION))
        points[:, :2] += moved
        points[:, :2] += one.limbs * min(seconds, step, _MAX_EXTRAPOLATION)
        roi = Region.from_array(one.roi).moved(moved)
        seen_last_frame, hidden = one.number == self._last, max(self._seconds_unseen(one, number), 0.0)
        return PredictedPose(points, one.world.copy(), 1.0, roi, seen_last_frame, hidden)

    def update(
        self, number: int, pixels: np.ndarray, people: Sequence[DetectedPerson], scale: float = 1.0
    ) -> tuple[list[int], list[np.ndarray]]:
        """The identity of each detection in frame `number`, counted from 1, and its `appearance`.

        pixels: the frame, `scale` times as large as what the people's keypoints are in.
        """
        self._tracks = self._active(number)
        found = [
            Candidate(
                p.keypoints2d.astype(float),
                p.keypoints3d.astype(float),
                p.score,
                None if p.roi is None else Region.from_array(p.roi),
            )
            for p in people
        ]
        embeddings = [appearance(pixels, _scaled(p.keypoints2d, scale)) for p in people]
        costs = np.array(
            [[self._cost(one, found[k], embeddings[k], number) for k in range(len(found))] for one in self._tracks]
        ).reshape(len(self._tracks), len(found))
        ids = [0] * len(found)
        occluded = _overlapped([p.box for p in people])
        for row, column in zip(*linear_sum_assignment(np.minimum(costs, 1e3)), strict=True):
            if costs[row, column] < 1e3:
                ids[column] = self._tracks[row].id
                embedding = None if occluded[column] else embeddings[column]
                self._update_track(self._tracks[row], found[column], embedding, number)
        for k, candidate in enumerate(found):
            if not ids[k]:
                ids[k] = self._next
                self._next += 1
                still = np.zeros(2), np.zeros((33, 2))
                roi = candidate.region.array()
                self._tracks.append(
                    _TrackState(ids[k], number, candidate.points, candidate.world, *still, embeddings[k], roi)
                )
        self._last = number
        return ids, embeddings

    def _cost(self, one: _TrackState, seen: Candidate, embedding: np.ndarray, number: int) -> float:
        predicted = self._predict(one, number)
        size = max(min(seen.size, predicted.size), 1.0)
        away = seen.distance(predicted) / size
        gate = _GATE + _GATE_GROWTH * (number - one.number - 1) / self._fps
        if away > gate or not 0.4 < seen.size / max(predicted.size, 1.0) < 2.5:
            return 1e6
        return away + _APPEARANCE_WEIGHT * (1 - similarity(one.embedding, embedding))

    def _update_track(self, one: _TrackState, seen: Candidate, embedding: np.ndarray | None, number: int) -> None:
        """embedding: None where somebody else's clothes are in them."""
        seconds = (number - one.number) / self._fps
        moved = (seen.points[:, :2] - one.points[:, :2]) / seconds
        body = np.median(moved[CORE], axis=0)
        keep = _VELOCITY_DECAY**seconds
        unreliable = (seen.points[:, 2:] < _UNSEEN) | (one.points[:, 2:] < _UNSEEN)
        one.limbs = np.where(unreliable, 0.5 * one.limbs, moved - body)
        one.velocity = keep * one.velocity + (1 - keep) * body
        one.number, one.points, one.world = number, seen.points, seen.world
        one.roi = seen.region.array()
        if embedding is not None and embedding.any():
            keep = _APPEARANCE_DECAY**seconds
            one.embedding = (keep * one.embedding + (1 - keep) * embedding).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """Everything, as arrays."""
        tracks = self._tracks
        return {
            "next": np.array(self._next),
            "last": np.array(self._last),
            "id": np.array([one.id for one in tracks], np.int64),
            "number": np.array([one.number for one in tracks], np.int64),
            "points": np.array([one.points for one in tracks]).reshape(-1, 33, 3),
            "world": np.array([one.world for one in tracks]).reshape(-1, 33, 3),
            "velocity": np.array([one.velocity for one in tracks]).reshape(-1, 2),
            "limbs": np.array([one.limbs for one in tracks]).reshape(-1, 33, 2),
            "looks": np.array([one.embedding for one in tracks], np.float32).reshape(-1, SIZE),
            "around": np.array([one.roi for one in tracks]).reshape(-1, 4),
        }

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray], fps: float = 30.0, step: int = 1) -> Tracker:
        """Back from `state`; fps and step as before."""
        tracker = cls(fps, step)
        tracker._next, tracker._last = int(state["next"]), int(state["last"])
        names = ("id", "number", "points", "world", "velocity", "limbs", "looks", "around")
        rows = zip(*(state[name] for name in names), strict=True)
        tracker._tracks = [_TrackState(int(a), int(b), *(np.array(x) for x in rest)) for a, b, *rest in rows]
        return tracker


def _scaled(points: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return points
    points = points.copy()
    points[:, :2] = (points[:, :2] + 0.5) * scale - 0.5
    return points


def _overlapped(boxes: Sequence[np.ndarray]) -> list[bool]:
    """Which of the boxes (4,) another one lies over."""

    def over(a: np.ndarray, b: np.ndarray) -> bool:
        sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
        return bool(np.prod(sides) > _MAX_OVERLAP * max(np.prod(a[2:] - a[:2]), 1e-6))

    return [any(over(a, b) for k, b in enumerate(boxes) if k != m) for m, a in enumerate(boxes)]
