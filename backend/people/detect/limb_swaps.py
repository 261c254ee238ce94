"""Limb swaps between people: where people cross, the landmark network may give one person another's arm or leg."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.body.joint_sets import ARMS, BLAZEPOSE33, LEGS, left_right
from backend.people.detect.candidates import TORSO, Candidate, PredictedPose

# (left, right) landmarks that swap together, from the trunk outwards
_CHAINS = (
    left_right(BLAZEPOSE33, "elbow"),
    left_right(BLAZEPOSE33, "wrist", "pinky", "index", "thumb"),
    left_right(BLAZEPOSE33, "knee"),
    left_right(BLAZEPOSE33, "ankle", "heel", "foot_index"),
)
_OUTER = {0: 1, 2: 3}  # index of the chain farther out on the same limb
# Set on the rendered clips of docs/results.md (*cross*) with benchmarks/tracking.py, none held out
_JUMP = 0.3  # person sizes between a limb and its prediction
_OWNER_RATIO = 0.6  # of that distance is the largest to the other person's limb
_REMEMBERED = 0.5  # s after the last detection for which a hidden person's prediction counts
SWAPPED_VISIBILITY = 0.25  # at most, of a predicted limb: it counts little, but more than an unobserved one


def suppress_swapped_limbs(predicted: Sequence[PredictedPose], seen: Sequence[Candidate | None]) -> None:
    """Replace limbs that jumped onto another person's limb by their predictions, with low visibility, in place.

    seen: for each predicted person the detection, or None.
    """
    there = [
        (one.points if one is not None else before.points)[:, :2].copy()
        for before, one in zip(predicted, seen, strict=True)
        if one is not None or before.hidden < _REMEMBERED
    ]
    owner = [k for k, one in enumerate(seen) if one is not None or predicted[k].hidden < _REMEMBERED]
    for k, one in enumerate(seen):
        if one is None:
            continue
        others = [points for index, points in zip(owner, there, strict=True) if index != k]
        swapped = _swapped_limbs(predicted[k], one, others) if others else []
        one.points[swapped, :2] = predicted[k].points[swapped, :2]
        one.points[swapped, 2] = np.minimum(one.points[swapped, 2], SWAPPED_VISIBILITY)
        one.world[swapped] = predicted[k].world[swapped]


def assemble_pose(predicted: PredictedPose, candidates: Sequence[Candidate], better: float) -> Candidate:
    """One pose of which trunk, arms and legs each come from the candidate nearest to the prediction.

    better: person sizes by which a later candidate must be nearer than the first.
    """
    size = max(predicted.size, 1.0)

    def best(part: Sequence[int]) -> Candidate:
        def pose_distance(k: int) -> float:
            gap = candidates[k].points[part, :2] - predicted.points[part, :2]
            away = np.minimum(np.linalg.norm(gap, axis=1) / size, 1.0)
            return float(away.mean()) + better * (k > 0)

        return candidates[min(range(len(candidates)), key=pose_distance)]

    trunk = best(TORSO)
    points, world = trunk.points.copy(), trunk.world.copy()
    for limb in (*ARMS, *LEGS):
        part = list(limb)
        chosen = best(part)
        points[part], world[part] = chosen.points[part], chosen.world[part]
    return Candidate(points, world, trunk.score, trunk.roi)


def _swapped_limbs(predicted: PredictedPose, one: Candidate, others: list[np.ndarray]) -> list[int]:
    """Landmarks of limbs that are far from their prediction and near another person's.  others: (33, 2) px each."""
    swapped: list[int] = []
    whole: set[tuple[int, int]] = set()  # chain and side whose inner joint is swapped
    size = max(predicted.size, 1.0)
    for part, pairs in enumerate(_CHAINS):
        for side in (0, 1):
            if (part, side) not in whole:
                lead = pairs[0]
                here = one.points[lead[side], :2]
                # a left/right swap of one person is not another person's limb
                own = min(np.linalg.norm(here - predicted.points[k, :2]) for k in lead)
                theirs = min(np.linalg.norm(here - points[k]) for points in others for k in lead)
                if own < _JUMP * size or theirs > _OWNER_RATIO * own:
                    continue
            swapped += [pair[side] for pair in pairs]
            if part in _OUTER:
                whole.add((_OUTER[part], side))
    return swapped
