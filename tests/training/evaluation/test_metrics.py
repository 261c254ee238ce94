"""Metrics against the originals' numbers, and their sums over batches and processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.body.procrustes import procrustes_align
from training.evaluation.metrics import MPJPE, MPVPE, PAMPJPE, FScore, acceleration_error, distances
from training.losses.terms import hip_relative


def test_fastmetro_numbers(tensors):
    g = tensors("fastmetro", "golden_losses_metrics")
    has = g["has_3d"].bool()
    pred, gt = hip_relative(g["pred_joints"]), hip_relative(g["gt_joints3"])[..., :3]
    torch.testing.assert_close(distances(pred, gt)[has], g["mpjpe"], atol=2e-6, rtol=2e-6)
    metric = MPJPE("test")
    metric.update(pred, gt, has)
    np.testing.assert_allclose(metric.compute(), 1000 * g["mpjpe"].double().mean(), rtol=1e-6)
    rng = np.random.RandomState(11)
    meshes = [torch.as_tensor(rng.standard_normal((4, 1723, 3)).astype(np.float32)) for _ in range(2)]
    metric = MPVPE("test")
    metric.update(*meshes, g["has_smpl"])
    np.testing.assert_allclose(metric.compute(), 1000 * g["mpvpe"].double().mean(), rtol=1e-6)


def test_alignment_equals_both_originals(tensors):
    g = tensors("fastmetro", "golden_losses_metrics")
    moved = procrustes_align(g["pa_S1"], g["pa_S2"])
    torch.testing.assert_close(moved[2], g["pa_aligned0"], atol=2e-6, rtol=0)
    torch.testing.assert_close(distances(moved, g["pa_S2"].double()), g["pa_error"].double(), atol=2e-6, rtol=0)
    g = tensors("smpler", "golden_extras")
    gt = g["gt_joints3d"][..., :3]
    moved = procrustes_align(g["pred_joints3d"], gt)
    torch.testing.assert_close(moved.float(), g["pa_aligned"], atol=2e-6, rtol=0)
    torch.testing.assert_close(distances(moved, gt).float(), g["pa_mpjpe"], atol=2e-6, rtol=0)
    g = tensors("pose2mesh", "golden_extras")
    torch.testing.assert_close(procrustes_align(g["pa_src"][None], g["pa_dst"][None])[0], g["pa_out"])


def test_alignment_allows_no_reflection(tensors):
    g = tensors("smpler", "golden_extras")
    gt = g["pred_joints3d"]
    reflected = gt * torch.tensor([-1.0, 1, 1])
    gap = distances(procrustes_align(reflected, gt), gt.double())
    torch.testing.assert_close(gap.float(), g["pa_mpjpe_reflected"], atol=2e-6, rtol=0)


def test_smpler_numbers(tensors):
    g = tensors("smpler", "golden_extras")
    has = g["has"].bool()
    pred, gt = hip_relative(g["pred_joints3d"]), hip_relative(g["gt_joints3d"])[..., :3]
    torch.testing.assert_close(distances(pred, gt)[has], g["mpjpe"], atol=2e-6, rtol=0)
    vertices = distances(g["pred_vertices_10th"], g["gt_vertices_10th"])
    torch.testing.assert_close(vertices[has], g["mpve"], atol=2e-6, rtol=0)


def test_acceleration_equals_pose2mesh(tensors):
    g = tensors("pose2mesh", "golden_extras")
    torch.testing.assert_close(acceleration_error(g["seq_smooth"], g["seq"]), g["accel"])


def random_joints(count):
    """Predicted and ground truth joints (count, 14, 3)."""
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(count, 14, 3, generator=rng) for _ in range(2)]


def test_means_do_not_depend_on_batches_and_processes():
    pred, gt = random_joints(7)
    valid = torch.tensor([1, 1, 0, 1, 0, 1, 1])
    for make in (MPJPE, PAMPJPE):
        whole, parts, shards = make(), make(), [make(), make()]
        whole.update(pred, gt, valid)
        for rows in (slice(0, 3), slice(3, 4), slice(4, 7)):
            parts.update(pred[rows], gt[rows], valid[rows])
        torch.testing.assert_close(parts.compute(), whole.compute())
        for k, metric in enumerate(shards):
            metric.update(pred[k::2], gt[k::2], valid[k::2])
        # what torchmetrics does between processes: states are added
        total = sum(m.total for m in shards) / sum(m.count for m in shards)
        torch.testing.assert_close(total, whole.compute())
        assert whole.count == 5
    assert torch.isnan(MPJPE().compute())


def test_unlabelled_samples_are_counted_as_in_the_originals():
    pred, gt = random_joints(4)
    valid = torch.tensor([1, 0, 1, 1])
    errors = 1000 * distances(procrustes_align(pred, gt), gt)
    expected = {"valid": errors[valid.bool()].mean(), "metro": errors.mean(), "smpler": errors.sum() / 3}
    for unlabelled, value in expected.items():
        metric = PAMPJPE(unlabelled=unlabelled)
        metric.update(pred, gt, valid)
        torch.testing.assert_close(metric.compute(), value)
        metric.reset()
        metric.update(pred, gt, 0 * valid)
        assert torch.isnan(metric.compute())


def test_batch_means_weigh_a_smaller_last_batch_more():
    metric = MPJPE(per_batch=True)
    for shift, count in ((0.001, 3), (0.002, 1)):
        metric.update(torch.full((count, 2, 3), shift / 3**0.5), torch.zeros(count, 2, 3))
    torch.testing.assert_close(metric.compute(), torch.tensor(1.5, dtype=torch.float64), rtol=1e-6, atol=0)


def test_f_score():
    rng = torch.Generator().manual_seed(0)
    points = torch.randn(1, 50, 3, generator=rng)
    metric = FScore(threshold=0.005)
    metric.update(3 * points + 1, points)
    assert metric.compute() == pytest.approx(1)
    metric.reset()
    metric.update(torch.randn(1, 50, 3, generator=rng), points)
    assert metric.compute() < 0.1
