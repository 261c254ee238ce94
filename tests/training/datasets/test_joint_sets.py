"""Joint sets, the maps between them, and joints of a posed body."""

import dataclasses

import numpy as np
import pytest
import torch

from backend.body import joint_sets as known
from backend.body.files import read_body
from backend.body.loader import load_body
from backend.body.registry import find_body
from backend.errors import BadInput
from backend.models.pose2mesh.joint_sets import POSE_SETS
from training.datasets import joint_sets as sets
from training.datasets.joint_sets import JOINT_SETS, convert_joints, index_map
from training.datasets.posed_joints import PosedJoints, posed_joints


def test_sizes_and_orders_are_the_published_ones():
    sizes = {"metro24": 24, "j14": 14, "h36m17": 17, "coco19": 19, "smpl24": 24, "hand21": 21, "muco21": 21,
             "mpii16": 16, "openpose18": 18, "openpose25": 25, "spin49": 49}  # fmt: skip
    assert {name: len(JOINT_SETS[name]) for name in sizes} == sizes
    assert JOINT_SETS["metro24"].names[14] == "pelvis" == JOINT_SETS["metro24"].names[JOINT_SETS["metro24"].root]
    assert JOINT_SETS["muco21"].names[14] == "pelvis"
    assert all(len(set(s.names)) == len(s) for s in JOINT_SETS.values())


def test_published_maps_agree_with_the_names():
    metro, h36m = JOINT_SETS["metro24"].names, JOINT_SETS["h36m17"].names
    assert tuple(metro[i] for i in sets.METRO24_TO_J14) == known.J14
    assert known.H36M17_TO_J14 == (3, 2, 1, 4, 5, 6, 16, 15, 14, 11, 12, 13, 8, 10)  # METRO's and SMPLer's
    assert known.J14_HIPS == (2, 3)
    assert tuple(h36m[i] for i in known.H36M17_TO_J14) == known.J14
    assert index_map("metro24", "j14").tolist() == list(sets.METRO24_TO_J14)
    assert index_map("h36m17", "j14").tolist() == list(known.H36M17_TO_J14)
    assert sorted(sets.SMPL38_TO_METRO24)[0] == 4 and len(set(sets.SMPL38_TO_METRO24)) == 24
    smpl = [*known.SMPL24, *range(14)]
    # SMPL's own joints among METRO's
    sided = {8: 0, 5: 1, 4: 4, 7: 5, 21: 6, 19: 7, 17: 8, 16: 9, 18: 10, 20: 11}
    assert all(smpl[s] == metro[m] and sets.SMPL38_TO_METRO24[m] == s for s, m in sided.items())
    assert JOINT_SETS["h36m17"].evaluated == (1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16)
    stacked = [*known.MANO16, *(f"{f}_tip" for f in ("thumb", "index", "middle", "ring", "pinky"))]
    fingers = [stacked[i].removesuffix("_tip").rstrip("123") for i in sets.MANO21_TO_HAND21]
    assert fingers == [n.rstrip("1234") for n in known.FREIHAND21]


def test_mirror_swaps_left_and_right():
    for name, kind in JOINT_SETS.items():
        mirror = kind.mirror
        assert (mirror[mirror] == np.arange(len(kind))).all()
        for i, j in enumerate(mirror):
            a, b = kind.names[i], kind.names[j]
            assert (a == b) == ("left" not in a and "right" not in a), name
            assert a.replace("left", "x").replace("right", "x") == b.replace("left", "x").replace("right", "x")
    # METRO's published flip of its 24 joints
    assert JOINT_SETS["metro24"].mirror.tolist() == [
        5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13, 14, 15, 16, 17, 18, 19, 21, 20, 23, 22,
    ]  # fmt: skip
    for ours, theirs in (("h36m17", "human36"), ("coco19", "coco"), ("smpl24", "smpl")):
        pairs = {tuple(sorted(p)) for p in POSE_SETS[theirs].mirrored}
        assert {(i, j) for i, j in enumerate(JOINT_SETS[ours].mirror) if i < j} == pairs


def test_joints_are_converted_by_name():
    joints = np.arange(21 * 3, dtype=np.float32).reshape(21, 3) + 1
    there = convert_joints(joints, "muco21", "h36m17")
    assert (there[0] == joints[14]).all() and (there[10] == joints[16]).all()  # pelvis, head
    assert (there[7] == 0).all()  # MuCo has no torso
    assert (index_map("muco21", "h36m17") >= 0).sum() == 14


@pytest.mark.parametrize(("name", "kinds"), [("open", ("h36m17", "coco17", "lsp14")), ("open_hand", ("hand21",))])
def test_posed_joints_equal_those_of_the_skinned_body(name, kinds):
    draw = np.random.RandomState(4)
    body, posed = load_body(name).double(), posed_joints(name)
    count = len(body.parents)
    pose, betas, trans = draw.randn(3 * count) * 0.4, draw.randn(10), draw.randn(3)
    whole = pose.reshape(1, count, 3).copy()
    if body.hand_mean is not None:
        whole[0, 1:] += body.hand_mean.reshape(-1, 3)
    out = body(torch.tensor(whole), torch.tensor(betas)[None], torch.tensor(trans)[None])
    for kind in kinds:
        rows = body.regressors["freihand21" if kind == "hand21" else kind]
        np.testing.assert_allclose(posed.joints(kind, pose, betas, trans), (rows @ out.vertices[0]).numpy(), atol=1e-6)
    if count == 24:
        np.testing.assert_allclose(posed.joints("smpl24", pose, betas, trans), out.joints[0].numpy(), atol=1e-6)
        coco = posed.joints("coco19", pose, betas, trans)
        np.testing.assert_allclose(coco[17], coco[[11, 12]].mean(0))
    np.testing.assert_allclose(
        posed.rest_root(betas), body.rest_joints(torch.tensor(betas)[None])[0, 0].numpy(), atol=1e-9
    )


def test_a_missing_regressor_is_an_error():
    posed = PosedJoints(dataclasses.replace(read_body(find_body("open")), regressors={}))
    for kind in ("h36m17", "coco19", "metro24"):
        with pytest.raises(BadInput, match=r"no regressor of (h36m17|coco17|lsp14) joints.*recover-mesh bodies import"):
            posed.joints(kind, np.zeros(72), np.zeros(10))
    assert posed.joints("smpl24", np.zeros(72), np.zeros(10)).shape == (24, 3)
