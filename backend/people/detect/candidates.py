"""Candidates: poses found in parts of an image, their size and distance, and suppression of duplicates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backend.body.joint_sets import BLAZEPOSE33, HIPS, KNEES, SHOULDERS, left_right
from backend.people.detect.region import Region

NOSE = BLAZEPOSE33.index("nose")
TORSO = [*SHOULDERS, *HIPS]
_ELBOWS, _WRISTS, _ANKLES = left_right(BLAZEPOSE33, "elbow", "wrist", "ankle")
CORE = [*TORSO, *_ELBOWS, *KNEES]  # landmarks that identify a person's place: no hands, no feet
_MOVING = [*_ELBOWS, *_WRISTS, *KNEES, *_ANKLES]


@dataclass
class Candidate:
    """One pose.  points: (33, 3) x, y px of the whole image and visibility; world: (33, 3) m; score: 0..1.

    roi: the landmark network's region for the next frame; None: unknown.
    """

    points: np.ndarray
    world: np.ndarray
    score: float
    roi: Region | None = None

    @property
    def region(self) -> Region:
        """`roi`, or a region computed from the landmarks."""
        return self.roi or Region.from_landmarks(self.points[:, :2])

    @property
    def box(self) -> np.ndarray:
        """(4,) x0 y0 x1 y1 around all landmarks, px."""
        return np.concatenate([self.points[:, :2].min(0), self.points[:, :2].max(0)])

    @property
    def size(self) -> float:
        """Person size, px: the spine plus half the shoulders' width, which depends little on the viewpoint."""
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
    """Pose of a tracked person, extrapolated.  hidden: s since the last detection, 0 in the frame after it."""

    seen_last_frame: bool = True
    hidden: float = 0.0

    def scaled(self, scale: float) -> PredictedPose:
        """The same pose in px of an image `scale` times as large."""
        points = self.points.copy()
        points[:, :2] = (points[:, :2] + 0.5) * scale - 0.5
        return replace(self, points=points, roi=self.region.scaled(scale))

    def pose_distance(self, seen: Candidate) -> float:
        """Mean distance of trunk plus mean distance of limbs, person sizes, each landmark at most 1."""
        distances = np.linalg.norm(self.points[:, :2] - seen.points[:, :2], axis=1) / max(self.size, 1.0)
        distances = np.minimum(distances, 1.0)
        return float(distances[TORSO].mean() + distances[_MOVING].mean())


def merge(candidates: list[Candidate]) -> list[Candidate]:
    """The best candidate of each person, highest score first."""
    kept: list[Candidate] = []
    for one in sorted(candidates, key=lambda c: -c.score):
        if not any(_same_person(one, other) for other in kept):
            kept.append(one)
    return kept


def _same_person(one: Candidate, kept: Candidate) -> bool:
    """Whether `one` duplicates `kept`.  Thresholds: origin not recorded; they cost 3 of 51 people missed in photos."""
    if one.distance(kept) < 0.5 * max(one.size, kept.size):
        return True
    # a small pose inside a large one is an arm or a leg detected as a person
    a, b = one.box, kept.box
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    overlap = float(np.prod(np.maximum(sides, 0)) / max(np.prod(a[2:] - a[:2]), 1e-6))
    return overlap > 0.7 and one.size < 0.55 * kept.size
