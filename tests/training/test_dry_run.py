"""One run of every network family, whole size, from generated files in the real formats to weights that load."""

from __future__ import annotations

import math

import pytest
import torch

from backend.models.store import read_card, weights_path
from backend.models.weights import load_network
from training.engine.dry_run import dry_run
from training.run import load_run


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "fastmetro-s-r50-mixed",
        "smpler-mixed",
        "deformer-r50",
        "pose2mesh-3dpw-posenet",
        "pose2mesh-freihand-full",
    ],
)
def test_two_steps_of(name, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    run = load_run(name)
    found = dry_run(run, tmp_path)
    assert len(found.losses) == 2 and all(map(math.isfinite, found.losses))
    assert bool(found.metrics) != ("freihand" in name)  # whose evaluation images have no public truth
    assert all(math.isfinite(v) for v in found.metrics.values())
    assert found.seconds > 0 and found.loading > 0
    card = read_card(found.weights)
    assert card.testing and card.name == run.network
    assert card.body in ("open_body", "open_hand")
    if (
        found.weights.stem == run.network
    ):  # a whole network: `recover-mesh recover --model` can take it at once
        monkeypatch.setenv("RECOVER_MESH_HOME", str(tmp_path / "home"))
        kept = weights_path(run.network)
        kept.parent.mkdir(parents=True)
        found.weights.rename(kept)
        assert load_network(run.network).card.source == f"dry run of {name}"
    text = str(found)
    assert "per 100,000 samples" in text and f"{run.training.epochs} epochs" in text
