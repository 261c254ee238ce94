"""Dry runs of every network family at full size: from generated files in the real formats to weights that load."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from backend.models.weights import load_network
from backend.models.weights_files import read_card, weights_path
from training.engine.dry_run import DryRun, dry_run
from training.run.spec import load_run


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["fastmetro-s-r50-mixed", "smpler-mixed", "deformer-r50", "pose2mesh-3dpw-posenet", "pose2mesh-freihand-full"],
)
def test_dry_run_of_each_family(name, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    run = load_run(name)
    result = dry_run(run, tmp_path)
    assert len(result.losses) == 2 and all(map(math.isfinite, result.losses))
    assert bool(result.metrics) != ("freihand" in name)  # whose evaluation images have no public ground truth
    assert all(math.isfinite(v) for v in result.metrics.values())
    assert result.seconds > 0 and result.loading > 0
    card = read_card(result.weights)
    assert card.testing and card.name == run.network
    assert card.body in ("open_body", "open_hand")
    if result.weights.stem == run.network:  # a full network, for `recover-mesh recover --model`
        monkeypatch.setenv("RECOVER_MESH_HOME", str(tmp_path / "home"))
        installed = weights_path(run.network)
        installed.parent.mkdir(parents=True)
        result.weights.rename(installed)
        assert load_network(run.network).card.source == f"dry run of {name}"
    text = str(result)
    published = run.training.samples_published
    samples = f"{published:,} samples as published" if published else "per 100,000 samples"
    assert samples in text and f"{run.training.epochs} epochs" in text


@pytest.mark.parametrize(
    ("here", "published", "samples", "expected"),
    [
        (None, 0, 100_000, "its data are not here; per 100,000 samples"),
        (None, 475_920, 475_920, "475,920 samples as published (its data are not here)"),
        (2_000, 475_920, 2_000, "2,000 samples, "),  # what is on this machine counts
    ],
)
def test_the_estimate_uses_the_best_known_number_of_samples(here, published, samples, expected):
    run = load_run("smpler-mixed", [f"training.samples_published={published}"])
    result = DryRun(run, run.network, 1, (1.0,), {}, 3.0, run.training.batch, 0.1, "cpu", here, Path("w"))
    steps = run.training.epochs * (samples // (run.training.batch * run.training.devices))
    text = str(result)
    assert expected in text and f"{steps:,} steps of" in text and f"; {steps * 3 / 3600:,.1f} h on" in text
