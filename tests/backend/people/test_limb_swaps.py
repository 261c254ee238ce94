"""Limb swaps between people, on made-up poses."""

import numpy as np
import pytest

from backend.people.detect.candidates import Candidate, PredictedPose
from backend.people.detect.limb_swaps import SWAPPED_VISIBILITY, assemble_pose, suppress_swapped_limbs
from tests.backend.people.test_tracker import STANDING

LEFT_LEG = [25, 27, 29, 31]
LEFT_ARM = [13, 15, 17, 19, 21]
SIZE = 200.0


def points(x):
    return np.concatenate([STANDING * SIZE + [x, 180.0], np.full((33, 1), 0.95)], 1)


def predicted(x, **more):
    return PredictedPose(points(x), np.full((33, 3), 1.0), 1.0, None, **more)


def seen(x):
    return Candidate(points(x), np.zeros((33, 3)), 0.9)


@pytest.mark.parametrize("limb", [LEFT_LEG, LEFT_ARM])
def test_a_limb_of_another_person_is_suppressed(limb):
    one, other = seen(100), seen(180)
    one.points[limb] = other.points[limb]
    poses = [one, other]
    suppress_swapped_limbs([predicted(101), predicted(180)], poses)
    np.testing.assert_allclose(one.points[limb, :2], points(101)[limb, :2])
    assert (one.points[limb, 2] == SWAPPED_VISIBILITY).all()
    assert (one.world[limb] == 1).all()
    rest = [k for k in range(33) if k not in limb]
    np.testing.assert_array_equal(one.points[rest], points(100)[rest])
    np.testing.assert_array_equal(other.points, points(180))


def test_a_person_hidden_for_a_moment_still_owns_their_limbs():
    one = seen(100)
    one.points[LEFT_LEG] = points(180)[LEFT_LEG]
    suppress_swapped_limbs([predicted(100), predicted(180, seen_last_frame=False, hidden=0.1)], [one, None])
    assert (one.points[LEFT_LEG, 2] == SWAPPED_VISIBILITY).all()


@pytest.mark.parametrize(
    "others", [[], [(predicted(180, seen_last_frame=False, hidden=5.0), None)], [(predicted(600), seen(600))]]
)
def test_a_fast_limb_is_kept_without_another_person_near(others):
    one = seen(100)
    one.points[LEFT_LEG, 0] += 80
    before = one.points.copy()
    suppress_swapped_limbs([predicted(100), *(e for e, _ in others)], [one, *(s for _, s in others)])
    np.testing.assert_array_equal(one.points, before)


def test_a_left_right_swap_of_one_person_is_kept():
    one = seen(100)
    legs = [25, 26, 27, 28, 29, 30, 31, 32]
    one.points[legs] = one.points[[26, 25, 28, 27, 30, 29, 32, 31]]
    before = one.points.copy()
    suppress_swapped_limbs([predicted(100), predicted(140)], [one, seen(140)])
    np.testing.assert_array_equal(one.points, before)


def test_each_limb_comes_from_the_nearest_candidate():
    first, second = seen(100), seen(100)
    first.points[LEFT_LEG, 0] += 90
    second.points[LEFT_ARM, 0] -= 90
    second.world[:] = 2
    pose = assemble_pose(predicted(100), [first, second], 0.08)
    np.testing.assert_array_equal(pose.points, points(100))
    assert (pose.world[LEFT_LEG] == 2).all() and (pose.world[LEFT_ARM] == 0).all()


def test_the_first_candidate_wins_near_ties():
    first, second = seen(103), seen(100)
    pose = assemble_pose(predicted(100), [first, second], 0.08)
    np.testing.assert_array_equal(pose.points, first.points)
