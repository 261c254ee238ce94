"""Where people cross, the landmark network now and then gives somebody the arm or the leg of another: such limbs are
taken back, as if they had not been seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.body.joint_sets import ARMS, BLAZEPOSE33, LEGS, left_right
from backend.people.detect.candidates import TORSO, Candidate, Expected

# from the trunk outwards: left, right
_CHAINS = (
    left_right(BLAZEPOSE33, "elbow"),
    left_right(BLAZEPOSE33, "wrist", "pinky", "index", "thumb"),
    left_right(BLAZEPOSE33, "knee"),
    left_right(BLAZEPOSE33, "ankle", "heel", "foot_index"),
)
_OUTER = {0: 1, 2: 3}  # what hangs on a joint
_JUMP = 0.3  # sizes of the person that a limb is away from where it was expected
_NEARER = 0.6  # of that is the other person's limb away
_REMEMBERED = 0.5  # s for which it is known where somebody hidden is
DOUBTFUL = 0.25  # visibility of such a limb: a guess that weighs little, but more than nothing said


def hide_mixed(expected: Sequence[Expected], seen: Sequence[Candidate | None]) -> None:
    """seen: what was found of each of the expected people, None where nothing was; changed in place.

    A limb that jumped away from its person and lies on another's gets the place where it was expected, in the picture
    and in space, and at most the visibility DOUBTFUL.
    """
    there = [
        (one.points if one is not None else before.points)[:, :2].copy()
        for before, one in zip(expected, seen, strict=True)
        if one is not None or before.hidden < _REMEMBERED
    ]
    owner = [k for k, one in enumerate(seen) if one is not None or expected[k].hidden < _REMEMBERED]
    for k, one in enumerate(seen):
        if one is None:
            continue
        others = [points for place, points in zip(owner, there, strict=True) if place != k]
        mixed = _mixed(expected[k], one, others) if others else []
        one.points[mixed, :2] = expected[k].points[mixed, :2]
        one.points[mixed, 2] = np.minimum(one.points[mixed, 2], DOUBTFUL)
        one.world[mixed] = expected[k].world[mixed]


def assembled(expected: Expected, looks: Sequence[Candidate], better: float) -> Candidate:
    """One pose from several looks at one person: the trunk of that which fits best, and so each arm and leg.

    better: by so much, in sizes of the person, a later look must fit better than the first to be taken.
    """
    size = max(expected.size, 1.0)

    def best(part: Sequence[int]) -> Candidate:
        def misfit(k: int) -> float:
            gap = looks[k].points[part, :2] - expected.points[part, :2]
            away = np.minimum(np.linalg.norm(gap, axis=1) / size, 1.0)
            return float(away.mean()) + better * (k > 0)

        return looks[min(range(len(looks)), key=misfit)]

    trunk = best(TORSO)
    points, world = trunk.points.copy(), trunk.world.copy()
    for limb in (*ARMS, *LEGS):
        part = list(limb)
        chosen = best(part)
        points[part], world[part] = chosen.points[part], chosen.world[part]
    return Candidate(points, world, trunk.score, trunk.around)


def _mixed(expected: Expected, one: Candidate, others: list[np.ndarray]) -> list[int]:
    mixed: list[int] = []
    whole: set[tuple[int, int]] = set()  # part and side whose inner joint is mixed
    size = max(expected.size, 1.0)
    for part, pairs in enumerate(_CHAINS):
        for side in (0, 1):
            if (part, side) not in whole:
                lead = pairs[0]
                here = one.points[lead[side], :2]
                # left and right of one person may be taken for each other: that is no other's limb
                own = min(np.linalg.norm(here - expected.points[k, :2]) for k in lead)
                theirs = min(np.linalg.norm(here - points[k]) for points in others for k in lead)
                if own < _JUMP * size or theirs > _NEARER * own:
                    continue
            mixed += [pair[side] for pair in pairs]
            if part in _OUTER:
                whole.add((_OUTER[part], side))
    return mixed
