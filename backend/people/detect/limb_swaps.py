"""Where people cross, the landmark network now and then gives somebody the arm or the leg of another: such limbs are
taken back, as if they had not been seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.body.joint_sets import ARMS, BLAZEPOSE33, LEGS, left_right
from backend.people.detect.candidates import TORSO, Candidate, PredictedPose

# from the trunk outwards: left, right
_CHAINS = (
    left_right(BLAZEPOSE33, "elbow"),
    left_right(BLAZEPOSE33, "wrist", "pinky", "index", "thumb"),
    left_right(BLAZEPOSE33, "knee"),
    left_right(BLAZEPOSE33, "ankle", "heel", "foot_index"),
)
_OUTER = {0: 1, 2: 3}  # what hangs on a joint
_JUMP = 0.3  # sizes of the person that a limb is away from where it was expected
_OWNER_RATIO = 0.6  # of that is the other person's limb away
_REMEMBERED = 0.5  # s for which it is known where somebody hidden is
SWAPPED_VISIBILITY = 0.25  # visibility of such a limb: a guess that weighs little, but more than nothing said


def suppress_swapped_limbs(predicted: Sequence[PredictedPose], seen: Sequence[Candidate | None]) -> None:
    """seen: what was found of each of the expected people, None where nothing was; changed in place.

    A limb that jumped away from its person and lies on another's gets the place where it was expected, in the picture
    and in space, and at most the visibility SWAPPED_VISIBILITY.
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
        others = [points for place, points in zip(owner, there, strict=True) if place != k]
        swapped = _swapped_limbs(predicted[k], one, others) if others else []
        one.points[swapped, :2] = predicted[k].points[swapped, :2]
        one.points[swapped, 2] = np.minimum(one.points[swapped, 2], SWAPPED_VISIBILITY)
        one.world[swapped] = predicted[k].world[swapped]


def assemble_pose(predicted: PredictedPose, readings: Sequence[Candidate], better: float) -> Candidate:
    """One pose from several looks at one person: the trunk of that which fits best, and so each arm and leg.

    better: by so much, in sizes of the person, a later look must fit better than the first to be taken.
    """
    size = max(predicted.size, 1.0)

    def best(part: Sequence[int]) -> Candidate:
        def pose_distance(k: int) -> float:
            gap = readings[k].points[part, :2] - predicted.points[part, :2]
            away = np.minimum(np.linalg.norm(gap, axis=1) / size, 1.0)
            return float(away.mean()) + better * (k > 0)

        return readings[min(range(len(readings)), key=pose_distance)]

    trunk = best(TORSO)
    points, world = trunk.points.copy(), trunk.world.copy()
    for limb in (*ARMS, *LEGS):
        part = list(limb)
        chosen = best(part)
        points[part], world[part] = chosen.points[part], chosen.world[part]
    return Candidate(points, world, trunk.score, trunk.roi)


def _swapped_limbs(predicted: PredictedPose, one: Candidate, others: list[np.ndarray]) -> list[int]:
    swapped: list[int] = []
    whole: set[tuple[int, int]] = set()  # part and side whose inner joint is mixed
    size = max(predicted.size, 1.0)
    for part, pairs in enumerate(_CHAINS):
        for side in (0, 1):
            if (part, side) not in whole:
                lead = pairs[0]
                here = one.points[lead[side], :2]
                # left and right of one person may be taken for each other: that is no other's limb
                own = min(np.linalg.norm(here - predicted.points[k, :2]) for k in lead)
                theirs = min(np.linalg.norm(here - points[k]) for points in others for k in lead)
                if own < _JUMP * size or theirs > _OWNER_RATIO * own:
                    continue
            swapped += [pair[side] for pair in pairs]
            if part in _OUTER:
                whole.add((_OUTER[part], side))
    return swapped
