"""Tracking from frame to frame: position and appearance, matched by the Hungarian method.

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

# First values, origin not recorded; growth and decays were per frame at 30 fps
LOST_AFTER = 2.0  # s without a detection after which a track ends; `tracklet_linking` may continue it
_GATE = 1.6  # person sizes between a pose and its prediction
_GATE_GROWTH = 2.4  # person sizes per s without a detection
_APPEARANCE_WEIGHT = 0.8  # of dissimilarity 1, in person sizes of distance
_VELOCITY_DECAY = 2e-7  # share of the old velocity after a second (0.6 a frame)
_APPEARANCE_DECAY = 0.04  # share of the old embedding after a second (0.9 a frame)
# Set on the rendered clips of docs/results.md with benchmarks/tracking.py, none held out
_MAX_EXTRAPOLATION = 0.5  # s
_MAX_OVERLAP = 0.1  # of a box by another, above which the embedding is not updated
_UNSEEN = 0.3  # visibility below which a limb's velocity is not measured


@dataclass
class _TrackState:
    """One track: the last detection and velocities, px / s."""

    id: int
    number: int  # frame of the last detection
    points: np.ndarray  # (33, 3) x px, y px, visibility
    world: np.ndarray  # (33, 3) m
    velocity: np.ndarray  # (2,) of the body
    limbs: np.ndarray  # (33, 2) of the landmarks relative to the body
    embedding: np.ndarray  # (SIZE,)
    roi: np.ndarray  # (4,) `Region.array`


class Tracker:
    """Tracks of one clip.  `state` is complete: a tracker restored from it gives the same bits."""

    def __init__(self, fps: float = 30.0, step: int = 1) -> None:
        """fps: of the clip.  step: frames between those that are read."""
        self._fps, self._step = fps, step
        self._tracks: list[_TrackState] = []
        self._next = 1
        self._last = -1  # last frame of `update`

    def predictions(self, number: int) -> list[PredictedPose]:
        """Predicted poses of all active tracks in frame `number`."""
        return [self._predict(one, number) for one in self._active(number)]

    def _active(self, number: int) -> list[_TrackState]:
        return [one for one in self._tracks if self._seconds_unseen(one, number) <= LOST_AFTER]

    def _seconds_unseen(self, one: _TrackState, number: int) -> float:
        """Time since the last detection, s; 0 in the frame after it."""
        return (number - one.number - self._step) / self._fps

    def _predict(self, one: _TrackState, number: int) -> PredictedPose:
        """Constant velocity: of the body for at most _MAX_EXTRAPOLATION, of the limbs for one step."""
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
        """Per detection in frame `number` its track id, from 1 on, and its `appearance`.

        pixels: the frame, `scale` times as large as the image that the keypoints refer to.
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
        """Cost of assigning a detection to a track, person sizes; 1e6 outside the gate."""
        predicted = self._predict(one, number)
        size = max(min(seen.size, predicted.size), 1.0)
        away = seen.distance(predicted) / size
        gate = _GATE + _GATE_GROWTH * (number - one.number - 1) / self._fps
        if away > gate or not 0.4 < seen.size / max(predicted.size, 1.0) < 2.5:
            return 1e6
        return away + _APPEARANCE_WEIGHT * (1 - similarity(one.embedding, embedding))

    def _update_track(self, one: _TrackState, seen: Candidate, embedding: np.ndarray | None, number: int) -> None:
        """Take a detection into its track.  embedding: None where another person overlaps."""
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
        """All tracks, as arrays."""
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
        """The tracker with a saved `state`; fps and step as before."""
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
    """Per box (4,) whether another one covers more than _MAX_OVERLAP of it."""

    def over(a: np.ndarray, b: np.ndarray) -> bool:
        sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
        return bool(np.prod(sides) > _MAX_OVERLAP * max(np.prod(a[2:] - a[:2]), 1e-6))

    return [any(over(a, b) for k, b in enumerate(boxes) if k != m) for m, a in enumerate(boxes)]
