"""`fit`, `test`, `median`, `export`, `check-data` on tiny files in FreiHAND's format: from data to weights."""

from __future__ import annotations

import json
from functools import partial

import pytest

from backend.models.pose2mesh import network as pose2mesh
from training.__main__ import main
from training.datasets import tiny

RUN = "pose2mesh-freihand-posenet"
FULL = "pose2mesh-freihand-full"
SMALL = [
    f"--set={setting}"
    for setting in (
        "body=open_hand",
        "training.epochs=2",
        "training.batch=2",
        "data.workers=0",
        # FreiHAND's evaluation images have no public ground truth
        "data.validate.0.split=train",
        "data.validate.0.protocol=synthetic-hand",
    )
]


def files(root) -> None:
    tiny.write("freihand_json", root / "data" / "pose2mesh" / "FreiHAND", 4)


def test_missing_data_are_reported(empty_home, capsys):
    assert main(["fit", RUN]) == 2
    text = capsys.readouterr().err
    assert "freihand_train_coco.json" in text and "body: mano" in text
    assert main(["check-data", RUN]) == 1
    assert "missing data" in capsys.readouterr().out


def test_a_wrong_setting_is_reported_before_missing_data(empty_home, capsys):
    assert main(["fit", RUN, "--set", "settings.learning_rat=1"]) == 2
    text = capsys.readouterr().err
    assert "settings.learning_rat is not known" in text and "Missing" not in text


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("settings.learning_rat=1", "settings.learning_rat"),
        ("settings.weights={vertces: 1}", "vertces"),
        ("data.prepare.flop=1", "data.prepare.flop"),
        ("data.prepare.rotation=[1, 2]", "data.prepare"),
        ("data.prepare.noise=loud", "noise"),
        ("data.prepare.kind=mine", "data.prepare.kind"),
        ("module=mine", "module"),
        ("body=open_body", "joints"),
    ],
)
def test_wrong_settings_are_reported_before_the_first_step(empty_home, capsys, setting, named):
    files(empty_home)
    assert main(["fit", RUN, *SMALL, f"--set={setting}", "--quiet"]) == 2
    assert named in capsys.readouterr().err
    assert not (empty_home / "runs").exists()


def test_bad_labels_are_reported_with_their_file(empty_home, capsys):
    files(empty_home)
    path = empty_home / "data" / "pose2mesh" / "FreiHAND" / "data" / "freihand_train_data.json"
    content = json.loads(path.read_text())
    rows = content.values() if isinstance(content, dict) else content
    next(iter(rows))["mano_param"]["pose"][3] = float("nan")
    path.write_text(json.dumps(content))
    assert main(["fit", RUN, *SMALL, "--quiet"]) == 2
    assert "freihand_train" in capsys.readouterr().err
    assert main(["check-data", RUN, *SMALL]) == 1


@pytest.mark.parametrize("width", [64, pytest.param(4096, marks=pytest.mark.slow)])
def test_from_data_to_weights(empty_home, capsys, monkeypatch, width):
    """With a narrow PoseNet, and with the full one of 67 million parameters."""
    monkeypatch.setattr(pose2mesh, "PoseNet", partial(pose2mesh.PoseNet, width=width))
    files(empty_home)
    assert main(["check-data", RUN, *SMALL]) == 0
    assert main(["fit", RUN, *SMALL, "--quiet"]) == 0
    out = empty_home / "runs" / RUN / "seed-123"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["global_batch"] == {"here": 2, "published": 2, "accumulated": 1}
    assert any("freihand_train_coco" in name for name in manifest["data_sha256"])
    assert (out / "weights" / f"{RUN}.safetensors").is_file()
    # a second start would overwrite it
    assert main(["fit", RUN, *SMALL, "--quiet"]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["fit", RUN, "--set=training.epochs=3", *SMALL[:1], *SMALL[2:], "--quiet", "--resume"]) == 0
    steps = sorted(path.name for path in (out / "checkpoints").glob("step-*"))
    assert steps[-1] == "step-00000006.ckpt"  # 4 rows in batches of 2, three epochs
    assert main(["test", RUN, *SMALL, "--quiet"]) == 0
    metrics = json.loads((out / "results.json").read_text())["metrics"]
    assert metrics["synthetic-hand/PA-MPJPE"] > 0
    assert main(["median", RUN]) == 0
    assert "synthetic-hand/PA-MPJPE: median" in capsys.readouterr().out
    # a part of a network is for training only
    assert main(["export", RUN, *SMALL, "--install"]) == 2
    # the second stage finds the first one's weights
    assert main(["list", FULL]) == 0
    assert "missing start" not in capsys.readouterr().out
