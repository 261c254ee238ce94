"""The embedded hand file: MANO's format, the boundary, bent fingers, and the mirror image."""

import hashlib
from itertools import pairwise

import numpy as np
import pytest
import torch

from assets_build.open_hand.poses import hinges, named_pose, random_poses
from backend.body.files import read_body
from backend.body.joint_sets import FREIHAND21, MANO16, MANO16_PARENTS, MANO21
from backend.body.loader import load_body
from backend.body.mirror import mirrored
from backend.body.registry import OPEN_HAND, available_bodies, find_body
from backend.errors import BadInput

FINGERS = ("index", "middle", "pinky", "ring", "thumb")


@pytest.fixture(scope="module")
def asset():
    with np.load(OPEN_HAND, allow_pickle=False) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def hand():
    return load_body("open_hand").double()


def posed(hand, poses):
    with torch.no_grad():
        return hand(torch.as_tensor(poses), torch.zeros(len(poses), hand.num_betas, dtype=torch.float64))


def test_format_is_manos(asset):
    shapes = {
        "v_template": (778, 3), "f": (1538, 3), "shapedirs": (778, 3, 10), "posedirs": (778, 3, 135),
        "J_regressor": (16, 778), "weights": (778, 16), "hands_components": (45, 45), "hands_mean": (45,),
        "J_regressor_freihand21": (21, 778), "J_regressor_mano21": (21, 778),
    }  # fmt: skip
    assert {name: asset[name].shape for name in shapes} == shapes
    assert asset["kintree_table"][0].tolist() == [2**32 - 1, *MANO16_PARENTS[1:]]
    assert str(asset["name"]) == "open_hand" and str(asset["license"]) == "CC0-1.0"
    basis = asset["hands_components"].astype(float)
    np.testing.assert_allclose(basis @ basis.T, np.eye(45), atol=1e-6)


def test_the_card_has_the_hash_of_the_arrays(asset):
    content = b"".join(np.ascontiguousarray(asset[name]).tobytes() for name in sorted(asset))
    assert hashlib.sha256(content).hexdigest() in OPEN_HAND.with_suffix(".md").read_text()


def test_surface_has_one_boundary_of_16_edges(asset):
    faces = asset["f"].astype(int)
    directed_edges = np.concatenate([faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    assert len(np.unique(directed_edges, axis=0)) == len(directed_edges)  # consistently oriented
    edges, counts = np.unique(np.sort(directed_edges, axis=1), axis=0, return_counts=True)
    assert set(counts) == {1, 2} and 778 - len(edges) + len(faces) == 1  # Euler: a disc
    border = edges[counts == 1]
    assert len(border) == 16 and (np.unique(border, return_counts=True)[1] == 2).all()
    after = {int(a): int(b) for a, b in directed_edges if (min(a, b), max(a, b)) in {tuple(e) for e in border.tolist()}}
    loop = [next(iter(after))]
    while after[loop[-1]] != loop[0]:
        loop.append(after[loop[-1]])
    assert len(loop) == 16  # one loop, not several
    assert (asset["v_template"][loop, 0] > 0.02).all()  # across the forearm
    assert (asset["weights"][loop, 0] == 1).all()
    # oriented outwards: with the boundary closed by a fan, the volume is a hand's
    points = asset["v_template"].astype(float)
    closed = np.concatenate([faces, [[loop[0], b, a] for a, b in pairwise(loop[1:])]])
    a, b, c = (points[closed[:, k]] for k in range(3))
    assert 2e-4 < np.einsum("fi,fi->", a, np.cross(b, c)) / 6 < 6e-4


def test_no_triangle_is_a_sliver(asset):
    a, b, c = (asset["v_template"].astype(float)[asset["f"].astype(int)[:, k]] for k in range(3))
    sides = np.stack([np.linalg.norm(p - q, axis=1) for p, q in ((a, b), (b, c), (c, a))])
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    assert (2 * area / sides.max(0) ** 2).min() > 0.1 and sides.max() < 0.03


def test_rows_sum_to_one(asset):
    weights = asset["weights"]
    assert np.abs(weights.sum(1) - 1).max() < 1e-6
    assert (weights >= 0).all() and (weights > 0).sum(1).max() <= 4
    for name in ("J_regressor", "J_regressor_freihand21", "J_regressor_mano21"):
        rows = asset[name]
        assert (rows >= 0).all() and np.abs(rows.sum(1) - 1).max() < 1e-5


def test_a_flat_right_hand(asset):
    """Fingers along -x, palm down, thumb towards +z and below the palm; joints from the wrist outwards."""
    joints = dict(zip(MANO21, asset["J_regressor_mano21"] @ asset["v_template"], strict=True))
    np.testing.assert_allclose(joints["wrist"], 0, atol=5e-4)
    for finger in FINGERS[:4]:
        chain = np.array([joints[f"{finger}{k}"] for k in (1, 2, 3)] + [joints[f"{finger}_tip"]])
        assert (np.diff(chain[:, 0]) < -0.015).all() and np.abs(chain[:, 1]).max() < 0.015
    assert joints["index1"][2] > joints["middle1"][2] > joints["ring1"][2] > joints["pinky1"][2]
    assert joints["thumb_tip"][2] > joints["index1"][2] and joints["thumb_tip"][1] < -0.02
    assert 0.17 < np.linalg.norm(joints["middle_tip"]) < 0.21
    for order, table in ((FREIHAND21, "freihand21"), (MANO21, "mano21")):
        points = dict(zip(order, asset[f"J_regressor_{table}"] @ asset["v_template"], strict=True))
        for finger in FINGERS:
            tip = points.get(f"{finger}_tip", points.get(f"{finger}4"))
            assert np.abs(asset["v_template"] - tip).sum(1).min() < 1e-6  # one of the vertices
            np.testing.assert_allclose(points[f"{finger}2"], joints[f"{finger}2"], atol=1e-6)


def test_beta_0_makes_larger(asset):
    larger = asset["v_template"] + asset["shapedirs"][:, :, 0]
    assert np.ptp(larger[:, 0]) - np.ptp(asset["v_template"][:, 0]) > 0.005
    sizes = np.linalg.norm(asset["shapedirs"].reshape(-1, 10), axis=0)
    assert (np.diff(sizes) <= 0).all() and sizes[-1] > 0


def test_regressed_joints_follow_bent_fingers(hand):
    out = posed(hand, random_poses(40, hand.joints_template.numpy(), seed=7))
    regressed = torch.einsum("jv,nvk->njk", hand.joint_regressor, out.vertices)
    off = (regressed - out.joints).norm(dim=-1)
    assert off.mean() < 0.7e-3 and off.max() < 4e-3


def test_hinges_bend_towards_the_palm(hand):
    rest = hand.joints_template.numpy()
    fist = posed(hand, named_pose("fist", rest)[None])
    tips = hand.regressors["freihand21"][8::4] @ fist.vertices[0]
    knuckles = fist.joints[0, [1, 4, 10, 7]]
    assert (tips[:, 1] < knuckles[:, 1] - 0.01).all()  # below the knuckles
    assert (tips - fist.joints[0, 0]).norm(dim=1).max() < 0.1  # and back near the palm
    thumb = np.zeros((1, 16, 3))
    thumb[0, 14:] = 0.6 * hinges(rest)[14:, 0]
    moved = hand.regressors["freihand21"][4] @ posed(hand, thumb).vertices[0]
    assert moved[2] < (hand.regressors["freihand21"][4] @ hand.v_template)[2] - 0.02  # across the palm


@pytest.mark.parametrize(("joint", "angle"), [(j, a) for j in ("middle2", "index1", "thumb3") for a in (0.8, 1.5)])
def test_bent_joints_keep_more_volume_than_plain_skinning(hand, joint, angle):
    """Volume of the cone from the joint to the surface around it, against the rest pose."""
    j = MANO16.index(joint)
    poses = np.zeros((2, 16, 3))
    poses[1, j] = angle * hinges(hand.joints_template.numpy())[j, 0]
    plain_hand = load_body("open_hand").double()
    plain_hand._has_correctives = False
    full, plain = (posed(one, poses).vertices.numpy() for one in (hand, plain_hand))
    centre = hand.joints_template[j].numpy()
    faces = hand.faces.numpy()
    carried = hand.weights[:, [j, int(hand.parents[j])]].sum(1).numpy() > 0.5
    near = ((np.linalg.norm(hand.v_template.numpy() - centre, axis=1) < 0.02) & carried)[faces].all(1)

    def volume(points):
        a, b, c = (points[faces[near][:, k]] - centre for k in range(3))
        return np.einsum("fi,fi->", a, np.cross(b, c)) / 6

    rest, skinned, corrected = volume(plain[0]), volume(plain[1]), volume(full[1])
    assert skinned < corrected < 1.1 * rest and corrected > 0.55 * rest


def test_the_left_hand_is_the_mirror_image(hand):
    left = load_body("open_hand_left").double()
    assert left.name == "open_hand_left" and left.license == "CC0-1.0"
    right_arrays = read_body(OPEN_HAND)
    assert mirrored(right_arrays).joint_names == right_arrays.joint_names
    rng = np.random.default_rng(3)
    poses = rng.normal(0, 0.5, (4, 16, 3))
    betas = torch.as_tensor(rng.normal(size=(4, 10)))
    trans = torch.as_tensor(rng.normal(size=(4, 3)))
    flip = torch.tensor([-1.0, 1, 1], dtype=torch.float64)
    here = hand(torch.as_tensor(poses), betas, trans)
    there = left(torch.as_tensor(poses * [1, -1, -1]), betas, trans * flip)
    torch.testing.assert_close(there.vertices * flip, here.vertices)
    torch.testing.assert_close(there.joints * flip, here.joints)

    def outward(body):
        a, b, c = (body.v_template[body.faces[:, k]] for k in range(3))
        return torch.linalg.cross(b - a, c - a)

    torch.testing.assert_close(outward(left) * flip, outward(hand))
    with pytest.raises(BadInput, match="left and a right side"):
        load_body("open_body_left")


def test_it_is_found_by_name():
    assert find_body("open_hand") == OPEN_HAND
    assert [spec.name for spec in available_bodies()][:2] == ["open_body", "open_hand"]
