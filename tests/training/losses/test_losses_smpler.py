"""SMPLer's losses against the original's numbers."""

from __future__ import annotations

import pytest
import torch

from training.losses import terms
from training.losses.mesh_targets import MeshTargets
from training.losses.smpler import SMPLerLoss


def targets(g, joints2d):
    mesh, has = g["gt_vertices_10th"], g["has"].bool()
    labels = (g["gt_joints3d"], joints2d, {mesh.shape[1]: mesh}, g["gt_rotmat"], torch.zeros(len(mesh), 10))
    return MeshTargets(*labels, has_3d=has, has_2d=has, has_mesh=has)


@pytest.fixture
def extras(tensors):
    return tensors("smpler", "golden_extras")


def stage_of(g):
    return {
        "vertices_minus_pelvis": g["pred_vertices_10th"],
        "joints_minus_pelvis": g["pred_joints3d"],
        "joints2d": g["pred_joints2d"],
        "theta": g["pred_rotmat"],
    }


@pytest.mark.parametrize("absolute", [False, True])
def test_terms_equal_the_original(extras, absolute):
    g = extras
    out = SMPLerLoss(absolute=absolute)(stage_of(g), targets(g, g["gt_joints2d"]))
    kind = "l1" if absolute else "mse"
    expected = {
        "vertices": 100 * g["loss_vertices_l1"],
        "joints2d": 100 * g[f"loss_2d_{kind}"],
        "joints3d": 1000 * g[f"loss_3d_{kind}"],
        "rotations": 50 * g["loss_theta_l1"],
    }
    for name, value in expected.items():
        torch.testing.assert_close(out[name], value, rtol=1e-5, atol=1e-5, msg=name)
    torch.testing.assert_close(out["loss"], sum(expected.values()), rtol=1e-5, atol=1e-4)


def test_samples_without_2d_joints_count_only_upstream(extras):
    g = extras
    labels = g["gt_joints2d"].clone()
    labels[~g["has"].bool()] = 0
    losses = (SMPLerLoss(upstream_quirks=q)(stage_of(g), targets(g, labels))["joints2d"] for q in (True, False))
    upstream, right = losses
    torch.testing.assert_close(upstream, right * g["has"].float().mean())


def test_the_masked_mean_without_labels_is_0(extras):
    g = extras
    none = torch.zeros(4, dtype=torch.bool)
    value = terms.masked_mean(none, terms.weighted_l2, g["pred_joints3d"], g["gt_joints3d"])
    assert value == g["loss_none_valid"] == 0
