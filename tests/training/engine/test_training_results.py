"""Manifest, file hashes, log, medians over seeds, and the choice of the checkpoint."""

from __future__ import annotations

import json

import pytest
from log_lines import read_log

from backend.errors import BadInput
from training.engine.checkpoints import find_checkpoint, latest_checkpoint
from training.engine.json_logger import LogFile
from training.engine.manifest import file_hashes, write_manifest
from training.engine.results import EvaluationResult, chosen_checkpoint, write_results
from training.engine.seed_medians import seed_medians
from training.run.spec import load_run


def test_a_manifest_describes_the_run_and_its_starts(tmp_path):
    run = load_run("smpler-mixed", ["seed=7"])
    path = tmp_path / "out" / "manifest.json"
    write_manifest(path, run, {"global_batch": {"here": 200}})
    content = json.loads(path.read_text())
    assert content["seed"] == 7 and content["config"]["training"]["epochs"] == 100
    assert content["versions"]["torch"] and content["hardware"]["cores"]
    assert content["global_batch"] == {"here": 200} and content["starts"] == []
    assert len(content["git"]["commit"]) == 40
    write_manifest(path, run, {})
    again = json.loads(path.read_text())
    assert [start["started"] for start in again["starts"]] == [content["started"]]


def test_hashes_change_with_the_content(tmp_path):
    small, large = tmp_path / "a" / "small", tmp_path / "large"
    small.parent.mkdir()
    small.write_bytes(b"1")
    with large.open("wb") as file:  # sparse
        file.truncate(100 << 20)
    before = file_hashes([small, large, tmp_path / "none"], tmp_path)
    assert set(before) == {"a/small", "large"} and before["large"].startswith("~")
    small.write_bytes(b"2")
    with large.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    after = file_hashes([small, large], tmp_path)
    assert all(after[name] != before[name] for name in before)


def test_an_incomplete_log_line_is_skipped(tmp_path):
    path = tmp_path / "log.jsonl"
    log = LogFile(path)
    log.log_metrics({"loss": 2.0}, 1)
    log.log_metrics({"loss": 1.0, "x": float("nan")}, 2)
    with path.open("a") as file:
        file.write('{"step": 3, "lo')
    log.log_metrics({}, 3)
    log.log_metrics({"loss": 0.5}, 2)  # after a resume
    assert read_log(path) == {"loss": {1: 2.0, 2: 0.5}}


def test_latest_checkpoint_has_the_most_steps(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    assert latest_checkpoint(folder) is None and find_checkpoint(tmp_path, "auto") is None
    with pytest.raises(BadInput, match="no checkpoint"):
        chosen_checkpoint(tmp_path)
    for name in ("step-00000009.ckpt", "step-00000100.ckpt", "step-00000200.partial", "other.ckpt"):
        (folder / name).touch()
    assert find_checkpoint(tmp_path, "auto") == folder / "step-00000100.ckpt" == chosen_checkpoint(tmp_path)
    (folder / "best.ckpt").touch()
    assert chosen_checkpoint(tmp_path) == folder / "best.ckpt"
    assert find_checkpoint(tmp_path, "no") is None
    with pytest.raises(BadInput, match=r"gone\.ckpt"):
        find_checkpoint(tmp_path, str(tmp_path / "gone.ckpt"))


def test_median_over_seeds(tmp_path):
    run = load_run("smpler-mixed")
    weights = tmp_path / "w"
    weights.write_bytes(b"w")
    for seed, value in ((1, 50.0), (2, 47.0), (3, 48.0)):
        measured = EvaluationResult({"human36m-smpler/MPJPE": value}, weights)
        path = write_results(tmp_path / f"seed-{seed}", run, measured)
        assert json.loads(path.read_text())["published"]["results"][0]["MPJPE"] == 47.0
    write_results(tmp_path / "seed-9", run, EvaluationResult({"human36m-smpler/MPJPE": 1.0}, weights, limited=2))
    (row,) = seed_medians(tmp_path)
    assert row.median == 48.0 and row.spread == 3.0
    assert row.values == {"seed-1": 50.0, "seed-2": 47.0, "seed-3": 48.0}
    with pytest.raises(BadInput, match="no results"):
        seed_medians(tmp_path / "seed-1")
