"""A dry run of every published run: files in its formats, losses, two steps, metrics, weights.

Backbones are fakes with feature maps of the same shapes, and PoseNet is narrow, since the real ones take minutes; they
are tested at full size in `test_dry_run`.  All else is the run's own.
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
from training.engine import one_batch
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
    """Feature maps of averaged pixels, at strides 4, 8, 16 and 32."""

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
    """The last feature map alone, for FastMETRO."""

    def __init__(self, *_: object) -> None:
        super().__init__((1, 1, 1, 2048))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers[3](functional.avg_pool2d(images, 32))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(fastmetro, "sequential_resnet50", Map)
    monkeypatch.setattr(fastmetro, "HRNet", Map)
    monkeypatch.setattr(smpler, "HRNet", lambda width, _: Pyramid((width, 2 * width, 4 * width, 8 * width)))
    monkeypatch.setattr(deformer, "make_backbone", lambda name: Pyramid(_CHANNELS[name]))
    monkeypatch.setattr(pose2mesh, "PoseNet", partial(pose2mesh.PoseNet, width=64))


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in run_names()]
)
def test_dry_run_of(name, tmp_path):
    run = load_run(name)
    before = signal.getsignal(signal.SIGTERM)
    result = dry_run(run, tmp_path)
    assert signal.getsignal(signal.SIGTERM) == before  # else the trainer stays in memory, and SIGTERM is ignored
    assert len(result.losses) == 2 and all(map(math.isfinite, result.losses)) and min(result.losses) > 0
    expected = {f"{run.data.validate[0].protocol}/MPJPE"} if "freihand" not in name else set()
    assert expected <= set(result.metrics)
    assert all(math.isfinite(value) and value > 0 for value in result.metrics.values())
    assert result.weights.is_file() and (tmp_path / "dry-run.json").is_file()


# one run of every module and every kind of network output
ONE_PER_OUTPUT = (
    "fastmetro-s-r50-mixed",
    "fastmetro-l-h64-freihand",
    "fastmetro-l-h64-smpl-mixed",
    "smpler-3dpw",
    "deformer-r50",
    "pose2mesh-freihand-full",
    "pose2mesh-human36m-posenet",
)


def _on_one_batch(name, folder):
    """The run's module in evaluation mode, and a batch."""
    module, _, batch = one_batch.build_one_batch(with_generated_data(load_run(name), folder, batch=2), folder, 2)
    return module.eval(), batch


@pytest.mark.parametrize("name", ONE_PER_OUTPUT)
def test_bfloat16_gradients_are_close_to_float32(name, tmp_path):
    module, batch = _on_one_batch(name, tmp_path)
    module.log_dict = lambda *_, **__: None
    weights = [value for value in module.model.parameters() if value.requires_grad]
    for value in weights:
        if not value.any():  # layers initialised with zeros would block the gradient of earlier ones
            nn.init.normal_(value, std=0.02)
    result = {}
    for kind in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
            loss = module.training_step(batch, 0)
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        result[kind] = float(loss), [x for x in gradients if x is not None]
    (whole, slope), (half, other) = result.values()
    assert half != whole and half == pytest.approx(whole, rel=0.01)
    cosine = _dot(slope, other) / (_dot(slope, slope) * _dot(other, other)) ** 0.5
    assert cosine > 0.95


def _dot(a: list[Tensor], b: list[Tensor]) -> float:
    """Scalar product of two gradients, in double precision without a copy of the whole."""
    return sum(float(x.flatten().double() @ y.flatten().double()) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", [name for name in ONE_PER_OUTPUT if "l-h64" not in name])
def test_metrics_are_computed_in_float32(name, tmp_path):
    """For the same output, autocast to bfloat16 must not change targets, Procrustes alignment and distances."""
    module, batch = _on_one_batch(name, tmp_path)
    network = module.model.pose_lifter if getattr(module, "stage", "") == "posenet" else module.model
    with torch.no_grad():
        output = network(batch["image"] if "image" in batch else batch["pose2d"])
    network.forward = lambda *_: output
    exact = one_batch.evaluate_batch(module, batch)
    with torch.autocast("cpu", torch.bfloat16):
        result = one_batch.evaluate_batch(module, batch)
    assert exact and result == exact
