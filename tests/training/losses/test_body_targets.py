"""Targets, losses and metrics of a full batch against SMPLer's numbers, and targets of bodies and hands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from fake_smpl import PARENTS, build

from backend.body.arrays import BodyArrays
from backend.body.joint_sets import H36M17, H36M17_TO_J14, LSP14, SMPL24
from backend.body.loader import load_body
from backend.body.model import BodyModel
from backend.errors import BadInput
from backend.geometry.rotations import matrix_from_6d
from training.evaluation.protocols import PROTOCOLS, Evaluator
from training.losses.body_targets import BodyTargets, HandTargets
from training.losses.smpler import SMPLerLoss


def fake_body(size=1.0):
    """The golden's fake body, its template `size` times as large, and its regressor."""
    arrays = build()
    parts = [arrays[name] for name in ("f", "shapedirs", "posedirs", "J_regressor", "weights")]
    regressor = arrays["J_regressor_h36m"]
    template = size * arrays["v_template"]
    body = BodyArrays("fake", "none", SMPL24, PARENTS, template, *parts, regressors={"h36m17": regressor})
    return BodyModel(body), torch.as_tensor(regressor)


@pytest.fixture(scope="module")
def fake():
    return fake_body()


def unposed_batch(count, **changes):
    """`count` samples with all labels, zeros apart from `changes`."""
    shapes = {"pose": (72,), "betas": (10,), "joints2d": (24, 3), "joints3d": (24, 4)}
    flags = {f"has_{what}": torch.ones(count) for what in ("mesh", "3d", "2d")}
    return {name: torch.zeros(count, *shape) for name, shape in shapes.items()} | flags | changes


def test_a_batch_equals_smpler(tensors, fake):
    g, (body, regressor) = tensors("smpler", "golden_losses_metrics"), fake
    make = BodyTargets(body, regressor)
    names = {
        "pose": "gt_pose", "betas": "gt_betas", "joints2d": "joints_2d", "joints3d": "joints_3d",
        "has_mesh": "has_smpl", "has_3d": "has_3d_joints", "has_2d": "has_2d_joints",
    }  # fmt: skip
    batch = {name: g[f"in.{theirs}"] for name, theirs in names.items()}
    root = batch["joints3d"][:, 14:15, :3]
    batch["joints3d"] = torch.cat([batch["joints3d"][..., :3] - root, batch["joints3d"][..., 3:]], -1)
    targets = make(batch)
    torch.testing.assert_close(targets.rotations, g["out.gt_rotmat"], atol=5e-6, rtol=0)
    torch.testing.assert_close(targets.joints3d, g["out.gt_3d_joints_minus_pelvis"], atol=2e-6, rtol=0)

    # the golden's fake of SMPL differs from ours: its predictions are taken from the file, every tenth vertex of meshes
    theta = matrix_from_6d(g["in.pred_6d"]).view(4, 24, 3, 3)
    torch.testing.assert_close(theta, g["out.pred_theta"], atol=2e-6, rtol=0)
    mesh = g["out.gt_vertices_minus_pelvis_every10"]
    stage = {
        "theta": theta,
        "vertices_minus_pelvis": g["out.pred_vertices_minus_pelvis_every10"],
        "joints_minus_pelvis": g["out.pred_joints_minus_pelvis"],
        "joints2d": g["out.pred_joints2d"],
    }
    loss = SMPLerLoss()(stage, replace(targets, meshes={689: mesh}))
    terms = (("vertices", 100, "vertices"), ("joints2d", 100, "2d_joints"), ("joints3d", 1000, "3d_joints"))
    for name, factor, theirs in (*terms, ("rotations", 50, "theta")):
        expected = factor * g[f"out.loss_{theirs}"]
        rtol = 0.06 if name == "vertices" else 1e-5
        torch.testing.assert_close(loss[name].double(), expected, rtol=rtol, atol=1e-5, msg=name)
    rest = loss["loss"] - loss["vertices"] + 100 * g["out.loss_vertices"]
    torch.testing.assert_close(rest, g["out.loss_combine"], rtol=1e-5, atol=1e-4)

    evaluator = Evaluator(PROTOCOLS["3dpw-smpler"])
    vertices = (stage["vertices_minus_pelvis"], mesh, targets.has_mesh)
    evaluator.update(stage["joints_minus_pelvis"], targets.joints3d, targets.has_3d, *vertices)
    metrics = evaluator.compute()
    expected = {
        "MPJPE": (g["out.mpjpe_sum"] / g["out.mpjpe_count"], 1e-5),
        "PA-MPJPE": (g["out.mpjpepa_sum"] / g["out.mpjpe_count"], 1e-5),
        "MPVPE": (g["out.mpve_sum"] / g["out.mpve_count"], 0.06),
    }
    for name, (value, rtol) in expected.items():
        torch.testing.assert_close(metrics[name], 1000 * value, rtol=rtol, atol=0, msg=name)


def test_coarse_meshes_are_downsampled_from_the_full_one(fake):
    body, regressor = fake
    down = sp.csr_matrix((np.ones(3), (range(3), [5, 0, 77])), shape=(3, 6890))
    targets = BodyTargets(body, regressor, [down])(unposed_batch(2, pose=torch.randn(2, 72) * 0.1))
    torch.testing.assert_close(targets.meshes[3], targets.meshes[6890][:, [5, 0, 77]])
    pelvis = regressor[:1] @ targets.meshes[6890]
    torch.testing.assert_close(pelvis, torch.zeros_like(pelvis), atol=1e-6, rtol=0)


def test_genders_are_used_only_with_gendered_bodies(fake):
    body, regressor = fake
    wide, _ = fake_body(1.5)
    batch = unposed_batch(3, gender=torch.tensor([0, 2, 1]))
    plain = BodyTargets(body, regressor)(batch).meshes[6890]
    torch.testing.assert_close(plain[1], plain[0])
    gendered = BodyTargets(body, regressor, gendered={"female": wide})(batch).meshes[6890]
    torch.testing.assert_close(gendered[1], 1.5 * plain[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(gendered[[0, 2]], plain[[0, 2]])


def test_a_regressor_of_another_body_is_refused(fake):
    with pytest.raises(BadInput, match=r"\(17, 6890\)"):
        BodyTargets(fake[0], torch.zeros(17, 778))


def test_hand_joints_are_regressed_from_the_mesh():
    hand = load_body("open_hand")
    make = HandTargets(hand, hand.regressors["freihand21"])
    batch = {
        "pose": 0.2 * torch.randn(2, 48, generator=torch.Generator().manual_seed(0)),
        "betas": torch.zeros(2, 10),
        "joints2d": torch.zeros(2, 21, 3),
        "has_mesh": torch.tensor([1.0, 0.0]),
        "has_2d": torch.ones(2),
    }
    targets = make(batch)
    assert (targets.joints3d[:, 0, :3] == 0).all() and (targets.joints3d[..., 3] == 1).all()
    posed = hand(batch["pose"].unflatten(1, (16, 3)), batch["betas"])
    # the regressed wrist is near the model's joint
    gap = posed.joints[:, 0] - (hand.regressors["freihand21"] @ posed.vertices)[:, 0]
    assert gap.norm(dim=-1).max() < 0.01
    assert targets.has_3d.tolist() == [True, False]


def test_the_14_joints_have_lsps_names():
    names = [H36M17[k] for k in H36M17_TO_J14]
    assert names[:12] == list(LSP14[:12]) and names[12:] == ["neck", "head"]
