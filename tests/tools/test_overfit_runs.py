"""tools.overfit_runs: every network is covered by a run, and its results become tables."""

from __future__ import annotations

import json

import pytest

from tools import overfit_runs
from training.run.spec import load_run, run_names

OVERFIT = {
    "steps": 40,
    "samples": 2,
    "seconds": 61.2,
    "first_loss": 1159.6,
    "last_loss": 12.25,
    "metrics_before": {"MPJPE": 402.1, "PA-MPJPE": 130.3},
    "metrics_after": {"MPJPE": 3.14, "PA-MPJPE": 1.96},
    "seed": 88,
    "git": {"commit": "0123456789abcdef"},
    "log_sha256": "f" * 64,
    "hardware": {"host": "somebody's", "cores": 2},
}
DRY = {
    "parameters": 41_400_000,
    "losses": [1249.0, 1032.0],
    "seconds": 3.59,
    "samples_per_second": 0.557,
    "loading": 0.006,
    "estimate": "93,780 steps",
    "hardware": {"host": "somebody's"},
}


@pytest.mark.parametrize("name", run_names())
def test_every_network_has_an_overfit_run(name):
    run = load_run(name)
    other = load_run(overfit_runs.representative_run(run))
    assert other.network == run.network and other.settings.get("stage") == run.settings.get("stage")


def test_no_network_is_overfit_twice():
    by = {overfit_runs.representative_run(load_run(name)) for name in run_names()}
    assert by == set(overfit_runs.SECONDS)


def test_steps_follow_the_minutes():
    seconds = overfit_runs.SECONDS["smpler-mixed"]
    assert overfit_runs.steps_for("smpler-mixed", 4, 600) == int(240 / seconds)
    assert overfit_runs.steps_for("smpler-mixed", 4000, 600) == 600
    assert overfit_runs.steps_for("smpler-mixed", 0, 600) == 5


def test_finished_runs_are_skipped_and_failures_reported(tmp_path, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(overfit_runs, "call", lambda arguments, log: calls.append(arguments) or 2)
    assert not overfit_runs.run_one("smpler-mixed", "overfit", ["--overfit", "3"], tmp_path)
    assert calls[0][:3] == ["smpler-mixed", "--overfit", "3"] and "failed" in capsys.readouterr().out
    (tmp_path / "overfit" / "smpler-mixed" / "overfit.json").write_text("{}")
    assert overfit_runs.run_one("smpler-mixed", "overfit", ["--overfit", "3"], tmp_path)
    assert len(calls) == 1


def test_tables_have_a_line_per_run(tmp_path):
    for kind, name, row in (("overfit", "smpler-mixed", OVERFIT), ("dry-run", "fastmetro-m-r50-mixed", DRY)):
        folder = tmp_path / "out" / kind / name
        folder.mkdir(parents=True)
        (folder / f"{kind}.json").write_text(json.dumps(row))
    cut = tmp_path / "out" / "overfit" / "deformer-w48" / "overfit.jsonl"
    cut.parent.mkdir()
    cut.write_text('{"loss": 974.8}\n{"loss": 715.9}\n{"lo')
    overfit_runs.gather(tmp_path / "out", tmp_path / "results")
    assert "host" not in (tmp_path / "results" / "overfit.json").read_text()
    text = overfit_runs.tables(tmp_path / "results")
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(lines) == 2 * len(run_names())
    overfit = next(line for line in lines if line.startswith("| `smpler-3dpw`"))
    for part in ("(`smpler-mixed`)", "40 x 2", "402 -> 3.1", "1160 -> 12.2", "01234567", "ffffffff"):
        assert part in overfit
    cut_off = next(line for line in lines if line.startswith("| `deformer-w48-3dpw`"))
    assert "2, cut off" in cut_off and "974.8 -> 716" in cut_off
    assert "not run" in next(line for line in lines if line.startswith("| `deformer-r50`"))
    assert any("41.4" in line and "0.56" in line and "93,780 steps" in line for line in lines)
