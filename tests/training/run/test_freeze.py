"""Frozen backbones and early layers, the backbone's learning rate, and backbones of earlier runs."""

from __future__ import annotations

import pytest
import torch

from backend.errors import BadInput
from training.run.build import build_module, frozen_modules, load_initial_weights
from training.run.requirements import missing_initial_weights
from training.run.spec import load_run

EARLY = ["start.freeze=early", "settings.backbone_rate=1e-5"]


@pytest.fixture(scope="module")
def stage1():
    return build_module(load_run("smpler-backbone-small", EARLY))


def test_early_layers_are_frozen_and_later_ones_have_their_learning_rate(stage1):
    backbone = stage1.module.model.backbone
    trained = {name.rsplit(".layers")[0] for name, p in backbone.named_parameters() if p.requires_grad}
    assert {name for name in trained if name.startswith(("stem", "stages.0.", "stages.1."))} == set()
    assert {name for name in trained if name.startswith(("stages.2.", "stages.3."))}
    stage1.module.step = 0  # without a schedule, which needs a trainer
    rates = {id(p): g["lr"] for g in stage1.module.configure_optimizers().param_groups for p in g["params"]}
    assert {rates[id(p)] for p in backbone.parameters()} == {1e-5}
    head = stage1.module.model.SMPL_predictor.parameters()
    assert {rates[id(p)] for p in head} == {stage1.module.learning_rate}
    assert len(rates) == sum(1 for _ in stage1.module.model.parameters())


def test_a_backbone_without_early_layers_is_refused():
    run = load_run("smpler-backbone", ["start.freeze=early"])
    with pytest.raises(BadInput, match=r"smpler-backbone\.yaml: start\.freeze is early, but the backbone of"):
        frozen_modules(run, torch.nn.Linear(1, 1))


def test_the_full_backbone_is_frozen():
    run = load_run("fastmetro-small")
    model = build_module(run).module.model
    assert not any(p.requires_grad for p in model.backbone.parameters())
    assert all(p.requires_grad for name, p in model.named_parameters() if not name.startswith("backbone."))


def test_a_run_takes_the_backbone_of_another(stage1, tmp_path, monkeypatch):
    monkeypatch.setenv("RECOVER_MESH_RUNS", str(tmp_path))
    run = load_run("fastmetro-small", ["start={backbone_of: smpler-backbone-small, freeze: backbone}"])
    assert missing_initial_weights(run, tmp_path) == [
        "start: the weights of smpler-backbone-small (run it first, or give a file with --from)"
    ]
    built = build_module(run)
    with pytest.raises(BadInput, match="starts from the weights of smpler-backbone-small"):
        load_initial_weights(built, run, tmp_path)
    folder = tmp_path / "smpler-backbone-small" / "seed-88" / "weights"
    folder.mkdir(parents=True)
    earlier = stage1.module.model
    torch.save(earlier.state_dict(), folder / "x.pth")
    (folder / "x.pth").rename(folder / "x.safetensors")
    with pytest.raises(BadInput):  # no safetensors file in spite of its name
        load_initial_weights(built, run, tmp_path)
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in earlier.state_dict().items()}, folder / "x.safetensors")
    assert missing_initial_weights(run, tmp_path) == []
    before = built.module.model.xyz_regressor.weight.clone()
    load_initial_weights(built, run, tmp_path)
    loaded = built.module.model.backbone.state_dict()
    for name, value in earlier.backbone.state_dict().items():
        torch.testing.assert_close(loaded[name], value, rtol=0, atol=0, msg=name)
    assert torch.equal(before, built.module.model.xyz_regressor.weight)
    assert "backbone" in next(iter(built.initial_weights.values()))


@pytest.mark.parametrize("second", ["run=smpler-mixed", "weights=x.pth", "backbone_of=smpler-backbone-small"])
def test_only_one_kind_of_initial_weights_is_allowed(second):
    with pytest.raises(BadInput, match=r"fastmetro-small\.yaml: start names .* and .*"):
        load_run("fastmetro-small", [f"start.{second}"])
