"""Joint sets: counts, mirror images, trees."""

import pytest

from backend.body.joint_sets import (
    JOINT_SETS,
    MANO16,
    MANO16_PARENTS,
    SMPL24,
    SMPL24_PARENTS,
    mirror_indices,
)


@pytest.mark.parametrize("name", sorted(JOINT_SETS))
def test_names_are_as_many_as_the_set_says_and_mirror_images_pair_up(name):
    names = JOINT_SETS[name]
    assert len(set(names)) == len(names) == int(name.lstrip("abcdefghijklmnopqrstuvwxyz").removeprefix("36m"))
    swap = mirror_indices(names)
    for joint, other in enumerate(swap):
        assert swap[other] == joint
        assert (other == joint) == ("left" not in names[joint] and "right" not in names[joint])


@pytest.mark.parametrize(("names", "parents"), [(SMPL24, SMPL24_PARENTS), (MANO16, MANO16_PARENTS)])
def test_parents_come_first_and_the_tree_is_its_own_mirror_image(names, parents):
    swap = mirror_indices(names)
    assert parents[0] == -1 and len(parents) == len(names)
    for joint in range(1, len(names)):
        assert 0 <= parents[joint] < joint
        assert parents[swap[joint]] == swap[parents[joint]]
