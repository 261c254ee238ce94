"""Evaluation protocols: joints, origins, means, and their descriptions in reports."""

from __future__ import annotations

import pytest
import torch

from training.evaluation.protocols import PROTOCOLS, Evaluator, root_relative


@pytest.mark.parametrize("name", PROTOCOLS)
def test_reports_describe_the_protocol(name):
    protocol = PROTOCOLS[name]
    evaluator = Evaluator(protocol)
    count = max(protocol.joints) + 1
    rng = torch.Generator().manual_seed(0)
    joints, vertices = (torch.randn(3, n, 3, generator=rng) for n in (count, 40))
    evaluator.update(joints, joints, None, vertices, vertices)
    for metric, value in evaluator.compute().items():
        assert abs(value.item() - float(metric.startswith("F@"))) < 1e-3
    lines = evaluator.report().splitlines()
    assert len(lines) == len(protocol.metrics)
    for line, metric in zip(lines, protocol.metrics, strict=True):
        assert metric in line and protocol.benchmark in line and protocol.gender in line


def test_origins_and_joints():
    rng = torch.Generator().manual_seed(0)
    gt = torch.randn(2, 17, 3, generator=rng)
    pred = gt.clone()
    pred[:, 9] += 5  # Human3.6M's nose is not evaluated
    pred[:, 1:] += 0.01  # all but the root: 17.3 mm
    evaluator = Evaluator(PROTOCOLS["human36m-pose2mesh"])
    evaluator.update(pred + 7, gt)
    assert evaluator.compute()["MPJPE"] == pytest.approx(10 * 3**0.5, rel=1e-4)

    evaluator = Evaluator(PROTOCOLS["3dpw-fastmetro"])
    pred = gt[:, :14].clone()
    pred[:, 2, 0] += 0.02  # one hip moves the origin by half as much
    evaluator.update(pred, gt[:, :14])
    assert evaluator.compute()["MPJPE"] == pytest.approx(10, rel=1e-4)


def test_upstream_quirks_change_unlabelled_samples():
    rng = torch.Generator().manual_seed(0)
    pred, gt = (torch.randn(4, 14, 3, generator=rng) for _ in range(2))
    valid = torch.tensor([True, False, True, True])
    values = []
    for quirks in (True, False):
        evaluator = Evaluator(PROTOCOLS["3dpw-smpler"], upstream_quirks=quirks)
        evaluator.update(pred, gt, valid)
        values.append(evaluator.compute())
        assert torch.isnan(values[-1]["MPVPE"])  # no mesh was given
        evaluator.reset()
        assert torch.isnan(evaluator.compute()["MPJPE"])
    assert values[0]["MPJPE"] == values[1]["MPJPE"]
    assert values[0]["PA-MPJPE"] > values[1]["PA-MPJPE"]


def test_root_relative_moves_a_regressed_joint_to_the_origin():
    vertices = torch.randn(2, 5, 3)
    row = torch.tensor([0.5, 0.5, 0, 0, 0])
    torch.testing.assert_close((row @ root_relative(vertices, row)).abs().max(), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_batch_means_are_an_upstream_quirk_of_pose2mesh():
    values = []
    for quirks in (True, False):
        evaluator = Evaluator(PROTOCOLS["surreal-posenet"], upstream_quirks=quirks)
        for shift, count in ((0.001, 3), (0.002, 1)):
            joints = torch.zeros(count, 24, 3)
            moved = joints.clone()
            moved[:, 1:, 0] = shift * 24 / 23  # all but the root
            evaluator.update(moved, joints)
        values.append(evaluator.compute()["MPJPE"].item())
    assert values == pytest.approx([1.5, 1.25], rel=1e-5)
