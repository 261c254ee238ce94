"""The ground-truth mesh has no error by the synthetic protocol: labels and evaluation use the same joints."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.body.joint_sets import SMPL24
from backend.models.adapter import evaluation_regressor
from training.datasets.joint_sets import METRO24, METRO24_TO_J14
from training.datasets.posed_joints import posed_joints
from training.evaluation.protocols import PROTOCOLS, Evaluator
from training.losses.body_targets import BodyTargets
from training.synthetic.studios import make_studio

# labels are rounded: joints to 1e-5 m, poses to 1e-6 rad, betas to 1e-5
TOLERANCE_MM = 0.05


@pytest.fixture(scope="module")
def studio():
    return make_studio("body", 64, "numpy")


@pytest.fixture(scope="module")
def samples(studio):
    return studio.shard(3, 2, 0, 16)


def _batch(samples) -> dict[str, torch.Tensor]:
    yes = torch.ones(len(samples))

    def stacked(name):
        return torch.stack([torch.tensor(np.array(s.label[name]).squeeze(), dtype=torch.float32) for s in samples])

    return {
        "pose": stacked("pose"), "betas": stacked("betas"), "joints3d": stacked("3d_joints"),
        "joints2d": stacked("2d_joints"), "has_mesh": yes, "has_3d": yes, "has_2d": yes,
    }  # fmt: skip


@pytest.fixture(scope="module")
def targets(studio):
    return BodyTargets(studio.body, evaluation_regressor(studio.body))


def test_the_ground_truth_mesh_has_no_error(studio, samples, targets):
    gt = targets(_batch(samples))
    vertices = gt.meshes[len(studio.body.v_template)]
    joints, _ = targets.mesh_joints(vertices)
    evaluator = Evaluator(PROTOCOLS["synthetic"])
    evaluator.update(joints, gt.joints3d, gt.has_3d, vertices, vertices, gt.has_mesh)
    for name, value in evaluator.compute().items():
        assert value.item() < TOLERANCE_MM, name


def test_a_wrong_mesh_has_an_error(studio, samples, targets):
    """The metric above detects another pose."""
    batch = _batch(samples)
    gt = targets(batch)
    bent = batch["pose"].clone()
    bent[:, 3 * SMPL24.index("left_elbow") + 1] += 0.2
    joints, _ = targets.mesh_joints(targets(batch | {"pose": bent}).meshes[len(studio.body.v_template)])
    evaluator = Evaluator(PROTOCOLS["synthetic"])
    evaluator.update(joints, gt.joints3d, gt.has_3d)
    assert evaluator.compute()["MPJPE"].item() > 1


def test_readers_find_the_labels_joints_in_the_pose(samples):
    """METRO's joints that `training.datasets` derives from a pose are those of the labels."""
    for sample in samples[:4]:
        label = sample.label
        found = posed_joints("open").joints("metro24", label["pose"], np.array(label["betas"]), label["trans"])
        gap = np.linalg.norm(found - np.array(label["3d_joints"])[0, :, :3], axis=1) * 1e3
        assert gap.max() < TOLERANCE_MM, METRO24[gap.argmax()]


def test_evaluated_labels_are_the_skeletons_joints(samples):
    """Labels are close to the skeleton's joints, in bent poses too."""
    labels, skeletons = (np.stack([s.arrays[name] for s in samples]) for name in ("joints3d", "smpl_joints3d"))
    limbs = list(METRO24_TO_J14[:12])
    same = skeletons[:, [SMPL24.index(METRO24[k]) for k in limbs]]
    gaps = 1e3 * np.linalg.norm(labels[:, limbs] - same, axis=-1)
    assert np.mean(gaps) < 5 and np.percentile(gaps, 95) < 12
