"""Every published run, dry: files in its formats, its losses, two steps, its metrics, weights.

Backbones are stand-ins with maps of the same shapes, and PoseNet is narrow: what they compute is tested elsewhere, at
full size by `fit RUN --dry-run` (`test_dry_run`), and they would take minutes.  All else is the run's own.
"""

from __future__ import annotations

import math
import signal
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models.deformer import network as deformer
from backend.models.fastmetro import network as fastmetro
from backend.models.pose2mesh import network as pose2mesh
from backend.models.smpler import network as smpler
from training.engine import overfit
from training.engine.dry_run import dry_run, with_generated_data
from training.run.spec import load_run, run_names

_CHANNELS = {
    "resnet50": (256, 512, 1024, 2048),
    "hrnet_w48": (48, 96, 192, 384),
    "hrformer_base": (78, 156, 312, 624),
    "blazepose": (48, 48, 48, 1440),
}
# a run of every module, network size and kind of data; the others are slow
QUICK = ("pose2mesh-freihand-full", "pose2mesh-3dpw-amass-posenet", "smpler-3dpw", "deformer-w48-384")


class Pyramid(nn.Module):
    """Maps at strides 4, 8, 16 and 32, of averaged pixels."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels
        self.layers = nn.ModuleList(nn.Conv2d(3, count, 1) for count in channels)

    def features(self, images: Tensor) -> list[Tensor]:
        sides = (4, 8, 16, 32)
        return [layer(functional.avg_pool2d(images, k)) for layer, k in zip(self.layers, sides, strict=True)]

    def early_layers(self) -> list[nn.Module]:
        return [self.layers[0]]

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.features(images)


class Map(Pyramid):
    """The last map alone, as FastMETRO takes it."""

    def __init__(self, *_: object) -> None:
        super().__init__((1, 1, 1, 2048))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers[3](functional.avg_pool2d(images, 32))


def _multi(width: int, _: str) -> Pyramid:
    return Pyramid((width, 2 * width, 4 * width, 8 * width))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(fastmetro, "sequential_resnet50", Map)
    monkeypatch.setattr(fastmetro, "HRNet", Map)
    monkeypatch.setattr(smpler, "HRNet", _multi)
    monkeypatch.setattr(deformer, "make_backbone", lambda name: Pyramid(_CHANNELS[name]))
    monkeypatch.setattr(pose2mesh, "PoseNet", partial(pose2mesh.PoseNet, width=64))


def named():
    slow = [pytest.param(name, marks=pytest.mark.slow) for name in run_names() if name not in QUICK]
    return [*QUICK, *slow]


@pytest.mark.parametrize("name", named())
def test_two_steps_of(name, tmp_path):
    run = load_run(name)
    before = signal.getsignal(signal.SIGTERM)
    result = dry_run(run, tmp_path)
    assert signal.getsignal(signal.SIGTERM) == before  # else the trainer stays in memory, and nobody can end it
    assert len(result.losses) == 2 and all(map(math.isfinite, result.losses)) and min(result.losses) > 0
    expected = {f"{run.data.validate[0].protocol}/MPJPE"} if "freihand" not in name else set()
    assert expected <= set(result.metrics)
    assert all(math.isfinite(value) and value > 0 for value in result.metrics.values())
    assert result.weights.is_file() and (tmp_path / "dry-run.json").is_file()


# a run of every module, and every network that ends in another way
ENDS = (
    "fastmetro-s-r50-mixed",
    "fastmetro-l-h64-freihand",
    "fastmetro-l-h64-smpl-mixed",
    "smpler-3dpw",
    "deformer-r50",
    "pose2mesh-freihand-full",
    "pose2mesh-human36m-posenet",
)


def _on_one_batch(name, folder):
    """-> module in evaluation mode, batch."""
    module, _, batch = overfit.build_one_batch(with_generated_data(load_run(name), folder, batch=2), folder, 2)
    return module.eval(), batch


@pytest.mark.parametrize("name", ENDS)
def test_bfloat16_trains_as_float32_does(name, tmp_path):
    module, batch = _on_one_batch(name, tmp_path)
    module.log_dict = lambda *_, **__: None
    weights = [value for value in module.model.parameters() if value.requires_grad]
    for value in weights:
        if not value.any():  # layers that begin with zeros would hide what comes before them
            nn.init.normal_(value, std=0.02)
    result = {}
    for kind in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
            loss = module.training_step(batch, 0)
        slopes = torch.autograd.grad(loss, weights, allow_unused=True)
        result[kind] = float(loss), torch.cat([x.flatten().double() for x in slopes if x is not None])
    (whole, slope), (half, other) = result.values()
    assert half != whole and half == pytest.approx(whole, rel=0.01)
    assert slope @ other > 0.95 * slope.norm() * other.norm()


@pytest.mark.parametrize("name", [name for name in ENDS if "l-h64" not in name])
def test_metrics_are_exact_whatever_the_precision(name, tmp_path):
    """Of one and the same answer: truth, Procrustes and distances must not be those of 8 bits."""
    module, batch = _on_one_batch(name, tmp_path)
    network = module.model.pose_lifter if getattr(module, "stage", "") == "posenet" else module.model
    with torch.no_grad():
        answer = network(batch["image"] if "image" in batch else batch["pose2d"])
    network.forward = lambda *_: answer
    exact = overfit.evaluate_batch(module, batch)
    with torch.autocast("cpu", torch.bfloat16):
        result = overfit.evaluate_batch(module, batch)
    assert exact and result == exact
