"""Labels of the tiny data sets are consistent: joints are those of the mesh.

Otherwise `fit --overfit` could not reach an error of zero.
"""

from __future__ import annotations

import pytest
import torch

from backend.body.loader import load_body
from backend.models.adapter import evaluation_regressor
from training.engine.dry_run import with_generated_data
from training.engine.one_batch import fixed_batch
from training.losses.body_targets import BodyTargets, Pose2MeshTargets
from training.modules.pose2mesh import target_regressor
from training.run.build_data import build_datamodule
from training.run.spec import load_run


def batch_of(name, folder):
    """The run's fixed batch, its body, and the run on generated data."""
    run = with_generated_data(load_run(name), folder, 2)
    body = load_body(run.body)
    data = build_datamodule(run, folder, body)
    data.setup("fit")
    return fixed_batch(data.sets["train"][0], data.prepare, 2)[1], body, run


@pytest.mark.parametrize("name", ["fastmetro-s-r50-mixed", "smpler-3dpw", "deformer-w48-384"])
def test_joints_of_image_labels(name, tmp_path):
    batch, body, _ = batch_of(name, tmp_path)
    assert all(batch[part].bool().all() for part in ("has_2d", "has_3d", "has_mesh"))
    targets = BodyTargets(body, evaluation_regressor(body))
    labels = targets(batch)
    joints, _ = targets.mesh_joints(labels.meshes[len(body.v_template)])
    hips = [2, 3]
    of_mesh = joints - joints[:, hips].mean(1, keepdim=True)
    given = labels.joints3d[..., :3] - labels.joints3d[:, hips, :3].mean(1, keepdim=True)
    torch.testing.assert_close(given, of_mesh, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "pose2mesh-human36m-full",
        "pose2mesh-3dpw-full",
        "pose2mesh-3dpw-amass-full",
        "pose2mesh-surreal-full",
        "pose2mesh-freihand-full",
    ],
)
def test_joints_of_pose2mesh_labels(name, tmp_path):
    batch, body, run = batch_of(name, tmp_path)
    assert batch["mesh_valid"].all() and batch["lift_valid"].all() and batch["joints_valid"].all()
    targets = Pose2MeshTargets(body, target_regressor(body, run.data.prepare["target"]))
    mesh, joints = targets(batch)
    torch.testing.assert_close(1000 * (targets.regressor @ mesh), joints, rtol=0, atol=0.01)
    assert (batch["pose2d"][0] - batch["pose2d"][1]).abs().max() > 0.1  # two different people
