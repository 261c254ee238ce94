"""Joint sets: counts, mirror images, trees."""

import pytest

from backend.body.joint_sets import (
    ARMS,
    BLAZEPOSE33,
    COCO19,
    H36M17,
    HIPS,
    JOINT_SETS,
    KNEES,
    LEGS,
    MANO16,
    MANO16_PARENTS,
    SHOULDERS,
    SMPL24,
    SMPL24_PARENTS,
    indices,
    left_right,
    mirror_indices,
    mirror_pairs,
)


@pytest.mark.parametrize("name", sorted(JOINT_SETS))
def test_joint_sets_have_the_number_in_their_name_and_mirror_pairs(name):
    names = JOINT_SETS[name]
    assert len(set(names)) == len(names) == int(name.lstrip("abcdefghijklmnopqrstuvwxyz").removeprefix("36m"))
    swap = mirror_indices(names)
    for joint, other in enumerate(swap):
        assert swap[other] == joint
        assert (other == joint) == ("left" not in names[joint] and "right" not in names[joint])


@pytest.mark.parametrize(("names", "parents"), [(SMPL24, SMPL24_PARENTS), (MANO16, MANO16_PARENTS)])
def test_parents_precede_children_and_the_tree_is_symmetric(names, parents):
    swap = mirror_indices(names)
    assert parents[0] == -1 and len(parents) == len(names)
    for joint in range(1, len(names)):
        assert 0 <= parents[joint] < joint
        assert parents[swap[joint]] == swap[parents[joint]]


def test_mirror_indices_equal_the_published_ones():
    smpl = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]
    assert mirror_indices(SMPL24) == smpl
    # Pose2Mesh's flip pairs
    assert mirror_pairs(SMPL24) == tuple((k, m) for k, m in enumerate(smpl) if k < m)
    assert mirror_pairs(COCO19) == tuple((k, k + 1) for k in range(1, 17, 2))
    assert mirror_pairs(H36M17) == ((1, 4), (2, 5), (3, 6), (11, 14), (12, 15), (13, 16))


def test_mediapipes_landmarks_have_its_indices():
    assert (SHOULDERS, HIPS, KNEES) == ((11, 12), (23, 24), (25, 26))
    assert ARMS == ((13, 15, 17, 19, 21), (14, 16, 18, 20, 22))
    assert LEGS == ((25, 27, 29, 31), (26, 28, 30, 32))
    assert left_right(BLAZEPOSE33, "elbow", "ankle") == ((13, 14), (27, 28))
    assert indices(BLAZEPOSE33, "nose", "left_foot_index") == [0, 31]
    # MediaPipe names the mouth `mouth_left`
    assert mirror_pairs(BLAZEPOSE33)[:5] == ((1, 4), (2, 5), (3, 6), (7, 8), (9, 10))
