"""FastMETRO's losses against the original's numbers, and its quirks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.geometry.rotations import matrix_from_axis_angle
from backend.models.smpler.network import project
from training.losses import terms
from training.losses.fastmetro import FastMETROLoss, SMPLRegressorLoss, parameter_loss
from training.losses.mesh_targets import MeshTargets
from training.losses.surface import Surface

COUNT = 1723


@pytest.fixture
def meshes():
    """The golden's two (4, 1723, 3)."""
    rng = np.random.RandomState(11)
    return [torch.as_tensor(rng.standard_normal((4, COUNT, 3)).astype(np.float32)) for _ in range(2)]


def circle(count, step=7):
    """Faces (i, i + 1, i + step) around a circle of `count` vertices."""
    return (np.arange(count)[:, None] + [0, 1, step]) % count


@pytest.fixture
def surface():
    """The golden's."""
    faces = circle(COUNT)
    made = Surface(faces)
    # the golden's edges lack the third one of every face
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [0, 2]]])
    made.edges = torch.as_tensor(edges)
    return made


def targets(g, mesh, **changes):
    values = {
        "joints3d": g["gt_joints3"],
        "joints2d": g["gt_joints2"],
        "meshes": {mesh.shape[1]: mesh},
        "rotations": matrix_from_axis_angle(g["gt_pose"].unflatten(1, (24, 3))),
        "betas": g["gt_betas"],
        "has_3d": g["has_3d"].bool(),
        "has_2d": torch.tensor([True, False, True, True]),
        "has_mesh": g["has_smpl"].bool(),
    }
    return MeshTargets(**{**values, **changes})


def test_terms_equal_the_original(tensors, meshes, surface):
    g, (pred, gt) = tensors("fastmetro", "golden_losses_metrics"), meshes
    mask = g["has_smpl"].bool()
    pairs = {
        "vertices_l1": terms.masked_mean(mask, terms.l1, pred, gt),
        "edge_gt": terms.masked_mean(mask, lambda p, t: terms.edge_error(p, t, surface.edges, 1e-8), pred, gt),
        "edge_gt_nonuniform": terms.masked_mean(
            mask, lambda p, t: terms.edge_error(p, t, surface.face_edges, 1e-8), pred, gt
        ),
        "edge_self": terms.masked_mean(mask, lambda p: terms.edge_lengths(p, surface.edges, 1e-8).mean(), pred),
        "normal": terms.masked_mean(mask, lambda p, t: terms.normal_error(p, t, surface.faces), pred, gt),
        "kp3d": terms.masked_mean(
            g["has_3d"], terms.weighted_l1, terms.hip_relative(g["pred_joints"]), terms.hip_relative(g["gt_joints3"])
        ),
        "kp2d": terms.weighted_l1(project(g["pred_joints"], g["cam"]), g["gt_joints2"]),
        "orthographic": project(g["pred_joints"], g["cam"]),
        "rodrigues": matrix_from_axis_angle(g["gt_pose"].view(-1, 3)),
        "smpl_param": parameter_loss(g["rotmat"], g["betas"], targets(g, gt)),
        "empty_vertices": terms.masked_mean(torch.zeros(4, dtype=torch.bool), terms.l1, pred, gt),
    }
    for name, value in pairs.items():
        torch.testing.assert_close(value, g[name].reshape(value.shape), atol=2e-6, rtol=2e-6, msg=name)


def test_the_sum_has_the_recipes_weights(tensors, meshes, surface):
    g, (pred, gt) = tensors("fastmetro", "golden_losses_metrics"), meshes
    # one mesh for all levels; both kinds of joints are the golden's
    out = FastMETROLoss(surface)(g["pred_joints"], g["pred_joints"], [pred] * 3, g["cam"], targets(g, gt))
    centred = terms.hip_relative(g["pred_joints"])
    assert not torch.allclose(centred, g["pred_joints"])
    surface_terms = 5 * g["edge_gt"] + 1e-4 * g["edge_self"] + 0.1 * g["normal"]
    expected = 2000 * g["kp3d"] + 200 * g["kp2d"] + 100 * g["vertices_l1"] + 100 * surface_terms
    torch.testing.assert_close(out["loss"], expected, rtol=1e-5, atol=1e-3)
    parts = sum(value for name, value in out.items() if name != "loss")
    torch.testing.assert_close(parts, out["loss"])


def test_samples_without_2d_joints_count_only_upstream(tensors, meshes, surface):
    g, (pred, gt) = tensors("fastmetro", "golden_losses_metrics"), meshes
    joints2d = g["gt_joints2"].clone()
    joints2d[1] = 0  # the original's value of missing labels
    labels = targets(g, gt, joints2d=joints2d)
    given = (g["pred_joints"], g["pred_joints"], [pred] * 3, g["cam"], labels)
    upstream, right = (FastMETROLoss(surface, upstream_quirks=q)(*given)["joints2d"] for q in (True, False))
    torch.testing.assert_close(upstream, 0.75 * right)


@pytest.mark.parametrize("part", ["body", "hand"])
def test_without_labels_loss_and_gradients_are_0(part):
    count, joints = (30, 14) if part == "body" else (30, 21)
    surface = Surface(circle(count))
    g = torch.Generator().manual_seed(0)
    pred = torch.randn(2, joints, 3, generator=g, requires_grad=True)
    levels = [torch.randn(2, n, 3, generator=g, requires_grad=True) for n in (10, 20, count)]
    # a body's surface is the intermediate mesh's
    levels = [levels[0], levels[2], levels[1]] if part == "body" else levels[1:]
    none = torch.zeros(2, dtype=torch.bool)

    def nan(*shape):
        return torch.full((2, *shape), float("nan"))

    meshes = {m.shape[1]: nan(*m.shape[1:]) for m in levels}
    labels = MeshTargets(nan(joints, 4), nan(joints, 3), meshes, nan(24, 3, 3), nan(10), none, none, none)
    loss = FastMETROLoss(surface, part, upstream_quirks=False)(pred, pred, levels, torch.ones(2, 3), labels)["loss"]
    loss.backward()
    assert loss == 0
    assert (pred.grad == 0).all() and (levels[-1].grad == 0).all()


def test_hand_loss_equals_plain_formulas():
    rng = np.random.default_rng(3)
    count, faces = 24, circle(24, 5)
    joints, mesh_joints, gt = (rng.normal(size=(2, 21, 3)) for _ in range(3))
    coarse, fine, coarse0, fine0 = (rng.normal(size=(2, n, 3)) for n in (12, count, 12, count))
    camera, points = rng.normal(size=(2, 3)), rng.normal(size=(2, 21, 3))
    confidence, visible = rng.uniform(size=(2, 21, 1)), (points[..., 2:] > 0) * 1.0
    yes = torch.ones(2, dtype=torch.bool)

    def t(x):
        return torch.as_tensor(x)

    gt3d, gt2d = t(np.concatenate([gt, confidence], 2)), t(np.concatenate([points[..., :2], visible], 2))
    rest = (torch.zeros(2, 16, 3, 3), torch.zeros(2, 10), yes, yes, yes)
    labels = MeshTargets(gt3d, gt2d, {12: t(coarse0), count: t(fine0)}, *rest)
    pred = (t(joints), t(mesh_joints), [t(coarse), t(fine)], t(camera))
    out = FastMETROLoss(Surface(faces), "hand")(*pred, labels)

    def wrist(x):
        return x - x[:, :1]

    def edge(x, a, b):
        return x[:, faces[:, b]] - x[:, faces[:, a]]

    def length(x):
        return np.linalg.norm(x, axis=-1)

    def unit(x):
        return x / length(x)[..., None]

    pairs = [(0, 1), (0, 2), (1, 2)]
    normal = unit(np.cross(edge(fine0, 0, 1), edge(fine0, 0, 2)))
    projected = [camera[:, None, :1] * (x[..., :2] + camera[:, None, 1:]) for x in (joints, mesh_joints)]
    expected = {
        "joints3d": 1000 * sum((confidence * abs(wrist(x) - wrist(gt))).mean() for x in (joints, mesh_joints)),
        "joints2d": 100 * sum((visible * abs(x - points[..., :2])).mean() for x in projected),
        "vertices": 50 * (abs(coarse - coarse0).mean() + abs(fine - fine0).mean()),
        "edge": 100 * np.mean([abs(length(edge(fine, *p)) - length(edge(fine0, *p))) for p in pairs]),
        "normal": 10 * np.mean([abs((unit(edge(fine, *p)) * normal).sum(-1)) for p in pairs]),
    }
    assert set(expected) == set(out) - {"loss"}
    for name, value in expected.items():
        np.testing.assert_allclose(out[name], value, rtol=1e-6, err_msg=name)


def test_regressor_loss_has_no_gradient_to_the_camera(tensors, meshes):
    g, (pred, gt) = tensors("fastmetro", "golden_losses_metrics"), meshes
    camera = g["cam"].clone().requires_grad_()
    joints = g["pred_joints"].clone().requires_grad_()
    out = SMPLRegressorLoss()(g["rotmat"], g["betas"], pred, joints, camera, targets(g, gt))
    expected = 1000 * (g["smpl_param"] + g["kp3d"] + g["kp2d"] + g["vertices_l1"])
    torch.testing.assert_close(out["loss"], expected, rtol=1e-5, atol=1e-3)
    out["loss"].backward()
    assert camera.grad is None and joints.grad.abs().sum() > 0
