"""DeFormer's module: it overfits one batch, has two learning rates, and every block gets a gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import default_collate

from backend.body.loader import load_body
from backend.body.mesh_levels import body_levels
from backend.models.deformer.network import STRIDES, DeFormer, DeFormerConfig
from training.datasets import tiny
from training.datasets.registry import build_dataset
from training.losses.deformer import DeFormerWeights
from training.modules.deformer import DeFormerModule
from training.preprocessing.metro_style import MetroPreparer

TINY = DeFormerConfig(
    "resnet50", (64, 64), widths=(32, 32, 32), map_width=32, heads=4, feedforward=64, points=2, dropout=0.0
)
WEIGHTS = DeFormerWeights({431: 0.25, 1723: 0.5, 6890: 0.25})


class TinyBackbone(nn.Module):
    """Four feature maps, by one convolution each."""

    channels = (8, 8, 16, 16)

    def __init__(self):
        super().__init__()
        self.steps = nn.ModuleList(nn.Conv2d(3, c, s, s) for c, s in zip(self.channels, STRIDES, strict=True))

    def features(self, x):
        return [step(x) for step in self.steps]


@pytest.fixture(scope="module")
def module():
    body = load_body("open")
    levels = body_levels(body.v_template.double().numpy(), body.faces.numpy())
    torch.manual_seed(0)
    model = DeFormer(TINY, levels, body.v_template, body.regressors["h36m17"], TinyBackbone())
    return DeFormerModule(model, body, WEIGHTS, 1e-4, 1e-5, 1e-4, 0, 40, 0.1, protocols=["human36m-deformer"])


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    records = build_dataset(tiny.write("tsv", tmp_path_factory.mktemp("tsv")))
    prepare = MetroPreparer(size=(64, 64))
    return default_collate([prepare(records[k], None) for k in range(2)])


def error(module, batch) -> float:
    """MPVPE of the batch, mm, pelvis-relative."""
    with torch.no_grad():
        pred, mesh = module.model(batch["image"])["vertices"], module.targets(batch).meshes[6890]
    return 1000 * float((pred - mesh).norm(dim=-1).mean())


def test_every_block_gets_a_gradient(module, batch):
    module.model.zero_grad()
    module.training_step(batch, 0).backward()
    without = [n for n, p in module.model.named_parameters() if p.grad is None]
    assert not without


@pytest.mark.slow
def test_overfits_one_batch(module, batch):
    before = error(module, batch)
    optimizer = torch.optim.AdamW(module.model.parameters(), 4e-3, weight_decay=0)
    for _ in range(160):
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        nn.utils.clip_grad_norm_(module.model.parameters(), 0.3)
        optimizer.step()
    assert error(module, batch) < 0.55 * before
    module.validation_step(batch, 0)
    metrics = module.evaluator(0).compute()
    assert metrics["MPVPE"] == pytest.approx(error(module, batch), rel=1e-3)


def test_backbone_and_offsets_have_the_slow_learning_rate(module, monkeypatch):
    monkeypatch.setattr("training.modules.deformer.step_decay_schedule", lambda *args: {})
    optimizer = module.configure_optimizers()["optimizer"]
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in module.model.named_parameters():
        slow = name.startswith("backbone") or "sampling_offsets" in name
        assert rates[id(parameter)] == (1e-5 if slow else 1e-4), name
