"""Poses: limits, mirroring, inverse kinematics, and the plausibility filters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.body.joint_sets import mirror_indices
from backend.body.loader import load_body
from training.synthetic import anatomy, inverse_kinematics
from training.synthetic.anatomy import INDEX
from training.synthetic.hands import LIMITS, NAMED, HandSampler
from training.synthetic.pose_filters import balanced, collisions, supported
from training.synthetic.pose_library import all_archetypes
from training.synthetic.poses import PoseSampler


@pytest.fixture(scope="module")
def sampler() -> PoseSampler:
    return PoseSampler(load_body("open"))


@pytest.fixture(scope="module")
def drawn(sampler):
    return sampler.sample(np.random.default_rng(3), 400)


def _posed(sampler: PoseSampler, **degrees: float):
    """Capsules' ends and radii, and joints by name, of the standing pose with some angles changed."""
    stand = next(a for a in sampler.archetypes if a.name == "stand").frames.copy()
    for name, value in degrees.items():
        stand[0, INDEX[name]] = np.deg2rad(value)
    capsules, joints = _capsules(sampler, stand, np.zeros((1, sampler.num_betas), np.float32))
    return capsules, dict(zip(sampler.skeleton.names, joints[..., 0], strict=True))


def _capsules(sampler: PoseSampler, angles: np.ndarray, betas: np.ndarray):
    """Capsules' ends and radii, and the joints, of angles (n, D) and betas (n, B)."""
    rest = sampler.skeleton.rest(betas)
    global_rotations, joints = sampler.skeleton.forward(anatomy.rotations(angles), rest)
    return sampler.capsules.pose(betas, rest, global_rotations, joints), joints


def test_there_are_enough_archetypes_within_the_limits(sampler):
    names = [a.name for a in all_archetypes()]
    assert len(names) == len(set(names)) >= 60
    named = {"walk", "jog", "sprint", "crawl", "sit", "squat", "kneel on heels", "lie on back", "arms crossed"}
    assert named <= set(names)
    for archetype in sampler.archetypes:
        assert np.abs(anatomy.limited(archetype.frames) - archetype.frames).max() < np.deg2rad(6), archetype.name


def test_sampled_poses_are_within_the_limits(drawn):
    low, high = anatomy.LIMITS.T
    assert (drawn.angles >= low - 1e-4).all() and (drawn.angles <= high + 1e-4).all()
    knees = [INDEX[f"{s}_knee_flex"] for s in ("left", "right")]
    assert drawn.angles[:, knees].min() >= -1e-4  # no knee bends forwards
    assert len(np.unique(drawn.archetype)) > 70


def test_a_hyperextended_knee_is_out_of_limits():
    angles = np.zeros((2, anatomy.COUNT), np.float32)
    angles[1, INDEX["left_knee_flex"]] = -0.3
    assert anatomy.within_limits(angles).tolist() == [True, False]
    assert anatomy.limited(angles)[1, INDEX["left_knee_flex"]] == 0


def test_angles_have_their_anatomical_directions(sampler):
    _, joints = _posed(sampler, left_hip_flex=90, left_knee_flex=90)
    thigh = joints["left_knee"] - joints["left_hip"]
    shin = joints["left_ankle"] - joints["left_knee"]
    assert thigh[2] > 0.35 and shin[1] < -0.35  # forward, then down
    _, joints = _posed(sampler, right_arm_forward=90, right_arm_up=0, right_arm_turn_in=-90, right_elbow_flex=90)
    assert (joints["right_elbow"] - joints["right_shoulder"])[2] > 0.2
    assert (joints["right_wrist"] - joints["right_elbow"])[1] > 0.2  # the forearm is vertical


def test_mirrored_angles_are_the_mirrored_body(sampler, drawn):
    flip = np.diag([-1.0, 1.0, 1.0]).astype(np.float32)
    there = anatomy.rotations(drawn.angles).transpose(3, 0, 1, 2)
    mirrored = anatomy.rotations(anatomy.mirrored(drawn.angles)).transpose(3, 0, 1, 2)
    order = mirror_indices(sampler.skeleton.names)
    np.testing.assert_allclose(mirrored, flip @ there[:, order] @ flip, atol=1e-6)


def test_the_skeleton_is_the_body_models(sampler, drawn):
    some = drawn.take(slice(8))
    body = load_body("open")
    rotations = np.ascontiguousarray(some.rotations.transpose(3, 0, 1, 2))
    with torch.inference_mode():
        joints = body.pose_joints(torch.from_numpy(rotations), torch.from_numpy(some.betas)).numpy()
    joints[..., 1] += some.height_offset[:, None]
    np.testing.assert_allclose(some.joints.transpose(2, 0, 1), joints, atol=1e-5)


@pytest.mark.parametrize(
    ("degrees", "pair"),
    [
        # forearms through the belly
        (
            {"left_arm_forward": 20, "left_arm_up": -75, "left_arm_turn_in": 80, "left_elbow_flex": 100},
            ("left_hand", "belly"),
        ),
        ({"left_hip_abduct": -28, "right_hip_abduct": -28}, ("left_thigh", "right_thigh")),
        (
            {"left_arm_forward": 100, "left_arm_up": 55, "left_arm_turn_in": -90, "left_elbow_flex": 100},
            ("left_forearm", "head"),
        ),
    ],
)
def test_self_intersection_is_rejected(sampler, degrees, pair):
    capsules = sampler.capsules
    (ends, radius), _ = _posed(sampler)
    assert (collisions(capsules, ends, radius) <= 0).all()
    (ends, radius), _ = _posed(sampler, **degrees)
    deep = collisions(capsules, ends, radius)[:, 0]
    found = {(capsules.names[capsules.first[k]], capsules.names[capsules.second[k]]) for k in np.nonzero(deep > 0)[0]}
    assert pair in found, found


def test_floating_and_unbalanced_poses_are_rejected(sampler):
    capsules = sampler.capsules
    (ends, radius), _ = _posed(sampler)
    assert supported(capsules, ends, radius, "feet").all() and balanced(capsules, ends).all()
    assert not supported(capsules, ends, radius, "back").any()  # standing, not lying on the back
    (ends, radius), _ = _posed(sampler, left_hip_flex=60, left_knee_flex=60)
    assert not supported(capsules, ends, radius, "feet").any() and supported(capsules, ends, radius, "foot").all()
    (ends, radius), _ = _posed(sampler, root_lean=35)
    assert not balanced(capsules, ends).any()  # would fall forwards


def test_sampled_poses_pass_the_filters_and_touch_the_floor(sampler, drawn):
    (ends, radius), _ = _capsules(sampler, drawn.angles, drawn.betas)
    assert (collisions(sampler.capsules, ends, radius) <= 0).all()
    lowest = sampler.capsules.lowest(ends, radius, sampler.capsules.names) + drawn.height_offset
    in_air = np.array([sampler.archetypes[k].support == "air" for k in drawn.archetype])
    assert np.abs(lowest[~in_air]).max() < 1e-4 and lowest[in_air].min() > 0.02
    for kind in set(sampler.supports) & {"feet", "back", "hands"}:
        which = np.array([sampler.archetypes[k].support == kind for k in drawn.archetype])
        assert supported(sampler.capsules, ends[..., which], radius[:, which], kind).all()


def test_a_wrist_reaches_its_target(sampler):
    count = 50
    rng = np.random.default_rng(0)
    angles = np.repeat(next(a for a in sampler.archetypes if a.name == "stand").frames, count, 0)
    rest = sampler.skeleton.rest(np.zeros((count, sampler.num_betas), np.float32))
    names = sampler.skeleton.names
    for side, sign in (("left", 1), ("right", -1)):
        global_rotations, joints = sampler.skeleton.forward(anatomy.rotations(angles), rest)
        aim = np.array([[0.1 * sign], [0.0], [0.35]]) + rng.uniform(-0.1, 0.1, (3, count))
        target = (joints[names.index(f"{side}_shoulder")] + aim).astype(np.float32)
        inverse_kinematics.solve_arm(angles, np.ones(count, bool), side, target, rest, global_rotations, joints, names)
        _, joints = sampler.skeleton.forward(anatomy.rotations(angles), rest)
        gap = np.linalg.norm(joints[names.index(f"{side}_wrist")] - target, axis=0)
        assert gap.max() < 0.005, gap.max()


def test_the_same_seed_gives_the_same_poses(sampler, drawn):
    again = sampler.sample(np.random.default_rng(3), 400)
    np.testing.assert_array_equal(again.angles, drawn.angles)
    other = sampler.sample(np.random.default_rng(4), 400)
    assert (other.angles != drawn.angles).any(1).all()


def test_a_walk_moves_by_small_steps_within_the_limits(sampler):
    walk = sampler.walk(np.random.default_rng(1), stops=3, frames=20)
    assert len(walk) == 60 and anatomy.within_limits(walk.angles, 1e-3).all()
    step = np.abs(np.diff(walk.angles, axis=0)).max()
    assert 0 < step < np.deg2rad(25)
    assert (walk.betas == walk.betas[0]).all()


def test_hands_are_within_limits_without_self_intersection():
    sampler = HandSampler(load_body("open_hand"))
    hands = sampler.sample(np.random.default_rng(0), 200)
    assert len(NAMED) >= 25 and len(np.unique(hands.name)) > 20
    assert (hands.angles >= LIMITS[..., 0]).all() and (hands.angles <= LIMITS[..., 1]).all()
    assert not sampler.collides(hands.pose, hands.betas).any()
    crossed = np.zeros((1, 5, 4), np.float32)
    crossed[0, 1, 3], crossed[0, 2, 3] = -0.3, 0.3  # index and middle finger
    assert sampler.collides(sampler.pose(crossed), np.zeros((1, 10), np.float32)).all()
    assert not sampler.collides(sampler.pose(np.zeros((1, 5, 4))), np.zeros((1, 10), np.float32)).any()
