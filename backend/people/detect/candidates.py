"""Poses found in parts of a picture: measuring them, and telling the same person from two people."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backend.body.joint_sets import BLAZEPOSE33, HIPS, KNEES, SHOULDERS, left_right
from backend.people.detect.region import Region

NOSE = BLAZEPOSE33.index("nose")
TORSO = [*SHOULDERS, *HIPS]
_ELBOWS, _WRISTS, _ANKLES = left_right(BLAZEPOSE33, "elbow", "wrist", "ankle")
CORE = [*TORSO, *_ELBOWS, *KNEES]  # what does not move when a hand waves
_MOVING = [*_ELBOWS, *_WRISTS, *KNEES, *_ANKLES]


@dataclass
class Candidate:
    """One pose.  points: (33, 3) x px, y px of the whole picture, visibility; world: (33, 3) m.

    roi: where the landmark network would look for the person again, None where that is not known.
    """

    points: np.ndarray
    world: np.ndarray
    score: float
    roi: Region | None = None

    @property
    def region(self) -> Region:
        """`roi`, or what the landmarks say."""
        return self.roi or Region.from_landmarks(self.points[:, :2])

    @property
    def box(self) -> np.ndarray:
        """(4,) x0 y0 x1 y1 around all landmarks, px."""
        return np.concatenate([self.points[:, :2].min(0), self.points[:, :2].max(0)])

    @property
    def size(self) -> float:
        """A length that turns little with the viewpoint: the spine, and half the shoulders' width, px."""
        shoulders = self.points[SHOULDERS, :2]
        hips = self.points[HIPS, :2]
        spine = np.linalg.norm(shoulders.mean(0) - hips.mean(0))
        return float(spine + 0.5 * np.linalg.norm(shoulders[0] - shoulders[1]))

    def distance(self, other: Candidate) -> float:
        """Median distance of the core landmarks, px."""
        gap = self.points[CORE, :2] - other.points[CORE, :2]
        return float(np.median(np.linalg.norm(gap, axis=1)))


@dataclass
class PredictedPose(Candidate):
    """Where somebody should be.  seen_last_frame: a close look is enough.  hidden: s since the
    last sight, 0 in the frame after it."""

    seen_last_frame: bool = True
    hidden: float = 0.0

    def scaled(self, scale: float) -> PredictedPose:
        """In px of a picture `scale` times as large."""
        points = self.points.copy()
        points[:, :2] = (points[:, :2] + 0.5) * scale - 0.5
        return replace(self, points=points, roi=self.region.scaled(scale))

    def pose_distance(self, seen: Candidate) -> float:
        """How far a pose is from this one, limbs included; sizes of the person."""
        distances = np.linalg.norm(self.points[:, :2] - seen.points[:, :2], axis=1) / max(self.size, 1.0)
        distances = np.minimum(distances, 1.0)
        return float(distances[TORSO].mean() + distances[_MOVING].mean())


def merge(candidates: list[Candidate]) -> list[Candidate]:
    """Keep the best of every group of candidates that are the same person; best score first."""
    kept: list[Candidate] = []
    for one in sorted(candidates, key=lambda c: -c.score):
        if not any(_same_person(one, other) for other in kept):
            kept.append(one)
    return kept


def _same_person(one: Candidate, kept: Candidate) -> bool:
    if one.distance(kept) < 0.5 * max(one.size, kept.size):
        return True
    # a small pose inside a large one is an arm or a leg taken for a person
    a, b = one.box, kept.box
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    overlap = float(np.prod(np.maximum(sides, 0)) / max(np.prod(a[2:] - a[:2]), 1e-6))
    return overlap > 0.7 and one.size < 0.55 * kept.size
