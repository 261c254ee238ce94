"""`fit --overfit`: one batch is overfit by the run's own steps, and only by them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.body.loader import load_body
from backend.errors import BadInput
from backend.models.backbones.hrformer import Block
from backend.models.fastmetro.attention import MultiHeadAttention
from backend.models.pose2mesh.network import PoseNet
from training.__main__ import main
from training.engine import one_batch, overfit
from training.engine.dry_run import with_generated_data
from training.run.build import build_module
from training.run.build_data import build_datamodule
from training.run.spec import load_run

SAMPLES = 4


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("files")
    result = with_generated_data(load_run("pose2mesh-freihand-truth-posenet"), folder, SAMPLES)
    validate = [replace(spec, protocol="synthetic-hand") for spec in result.data.validate]
    return replace(result, data=replace(result.data, validate=validate))


@pytest.fixture(scope="module")
def fixed(run):
    data = build_datamodule(run, Path(), load_body(run.body))
    data.setup("fit")
    return one_batch.fixed_batch(data.sets["train"][0], data.prepare, SAMPLES)


def narrow_module(run):
    """The run's module with a PoseNet of 64 units in place of 4096."""
    module = build_module(run).module
    torch.manual_seed(0)
    module.model.pose_lifter = PoseNet(21, width=64)
    return module


def test_loss_and_errors_fall(run, fixed, tmp_path):
    rows, batch = fixed
    result = overfit.fit_one_batch(narrow_module(run), batch, 150, tmp_path, run, rows, factor=3.0)
    assert result.last_loss < result.first_loss / 10
    assert result.metrics_after["MPJPE"] < result.metrics_before["MPJPE"] / 10
    written = json.loads((tmp_path / "overfit.json").read_text())
    log = (tmp_path / "overfit.jsonl").read_bytes()
    assert written["log_sha256"] == hashlib.sha256(log).hexdigest()
    assert [json.loads(line)["loss"] for line in log.splitlines()] == written["losses"]
    assert written["steps"] == 150 and written["rows"] == [0, 1, 2, 3] and written["seed"] == run.seed
    assert "150 steps of RMSprop" in str(result)


def test_loss_stays_without_gradients(run, fixed, tmp_path):
    module = narrow_module(run)
    for parameter in module.model.pose_lifter.parameters():
        parameter.register_hook(torch.zeros_like)
    result = overfit.fit_one_batch(module, fixed[1], 30, tmp_path, run)
    assert min(result.losses) > 0.999 * result.first_loss
    assert result.metrics_after["MPJPE"] == pytest.approx(result.metrics_before["MPJPE"], rel=1e-3)


def test_a_stop_file_ends_the_run_with_results(run, fixed, tmp_path):
    (tmp_path / overfit.STOP).touch()
    result = overfit.fit_one_batch(narrow_module(run), fixed[1], 30, tmp_path, run)
    assert (result.steps, result.planned) == (1, 30)
    assert json.loads((tmp_path / "overfit.json").read_text())["metrics_after"]


def test_the_same_seed_gives_the_same_losses(run, fixed, tmp_path):
    losses = [overfit.fit_one_batch(narrow_module(run), fixed[1], 5, tmp_path, run).losses for _ in range(2)]
    assert losses[0] == losses[1]


def test_evaluation_mode_equals_training_mode(run, fixed):
    """Batch norm with the batch's statistics as running ones gives the output of batch norm over the batch."""
    module, pose = narrow_module(run), fixed[1]["pose2d"]
    one_batch.disable_dropout(module)
    one_batch.set_batch_norm_statistics(module, fixed[1])
    lifter = module.model.pose_lifter
    with torch.no_grad():
        trained = lifter.train()(pose)
        one_batch.set_batch_norm_statistics(module, fixed[1])
        measured = lifter.eval()(pose)
    torch.testing.assert_close(measured, trained, rtol=1e-4, atol=1e-5)


def test_dropout_is_off_everywhere():
    layers = torch.nn.Sequential(MultiHeadAttention(8, 2, 0.5), torch.nn.Dropout(0.5), Block(8, 1, 0.5))
    one_batch.disable_dropout(layers)
    assert layers[0].dropout == 0.0 and layers[1].p == 0.0 and layers[2].drop == 0.0


def test_learning_rates_rise_and_fall():
    shares = [overfit.learning_rate_factor(step, 100) for step in range(100)]
    assert shares[0] == pytest.approx(0.1) and shares[9:50] == [1.0] * 41
    assert shares[75] == pytest.approx(0.5) and shares[99] == pytest.approx(0.02)
    assert all(share > 0 for share in (overfit.learning_rate_factor(step, 5) for step in range(5)))


def test_rows_with_most_labels_are_chosen():
    rows = [{"has_mesh": np.float32(k % 2), "x": np.float32(k)} for k in range(6)]
    result, batch = one_batch.fixed_batch(rows, lambda record, rng: record, 2)
    assert result == [1, 3] and batch["x"].tolist() == [1, 3]
    with pytest.raises(BadInput) as refused:
        one_batch.fixed_batch(rows[:1], lambda record, rng: record, 2)
    assert refused.value.code == "too_few_rows"


def test_a_frozen_backbone_has_mediapipes_weights(tmp_path):
    """A frozen random backbone would give two images the same features, and the error would only halve."""
    result = overfit.overfit(load_run("smpler-backbone-small"), 40, tmp_path)
    assert result.metrics_after["MPJPE"] < result.metrics_before["MPJPE"] / 8


@pytest.mark.parametrize(
    ("name", "setting", "there", "here"),
    [("pose2mesh-freihand-full", "edge_from_epoch", 16, 1), ("fastmetro-l-h64-smpl-mixed", "mesh_weight", 1e-8, 1.0)],
)
def test_all_losses_are_used_from_the_first_step(name, setting, there, here):
    run = load_run(name)
    assert run.settings[setting] == there
    result = overfit._all_losses_settings(run)
    assert result == {**run.settings, setting: here}


@pytest.mark.parametrize("steps", ["0", "-3", "many"])
def test_the_number_of_steps_must_be_positive(steps, capsys):
    with pytest.raises(SystemExit):
        main(["fit", "pose2mesh-freihand-posenet", "--overfit", steps])
    assert "not a number of steps" in capsys.readouterr().err


def test_own_data_must_be_there(tmp_path, capsys):
    assert main(["fit", "pose2mesh-freihand-posenet", "--overfit", "3", f"--data={tmp_path}"]) == 2
    assert "freihand_train_coco.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--overfit", "3", "--resume"], "--resume"),
        (["--overfit", "3", "--devices", "2"], "--devices"),
        (["--overfit", "3", "--dry-run"], "--dry-run"),
        (["--rate-factor", "2"], "--rate-factor"),
    ],
)
def test_exclusive_options(more, named, capsys):
    assert main(["fit", "pose2mesh-freihand-posenet", *more]) == 2
    assert named in capsys.readouterr().err
