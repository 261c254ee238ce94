"""The engine: exact steps change the outputs by rounding only, and the error of the other options is measured."""

import pytest
import torch
from torch import nn

from backend.body.mesh_levels import SparseMatrix
from backend.errors import BadInput
from backend.models.backbones.hrnet import HRNet
from backend.models.backbones.resnet import ResNet50
from backend.models.inference.engine import Engine, EngineOptions, fold_batch_norm, optimise
from backend.models.inference.onednn_packing import PackedConv, can_pack, pack
from backend.models.weights import fill_module


def images(count, size=64):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize(
    "make",
    [
        lambda: HRNet(4, "multi"),
        pytest.param(ResNet50, marks=pytest.mark.slow),
        pytest.param(lambda: HRNet(18, "classification"), marks=pytest.mark.slow),
        pytest.param(lambda: HRNet(18, "multi"), marks=pytest.mark.slow),
    ],
    ids=["little-hrnet", "resnet50", "hrnet18-classification", "hrnet18-multi"],
)
def test_folding_and_packing_change_rounding_only(make):
    net = make().eval()
    fill_module(net, 0)
    with torch.inference_mode():
        before = net(images(2))
        fold_batch_norm(net)
        assert not [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
        folded = net(images(2))
        pack(net)
        assert not [m for m in net.modules() if isinstance(m, nn.Conv2d)]
        packed = net(images(2))
        other_size = net(images(1, 96))
    for a, b, c in zip(*(x if isinstance(x, list) else [x] for x in (before, folded, packed)), strict=True):
        scale = a.abs().max()
        assert (a - b).abs().max() < 2e-5 * scale
        assert (a - c).abs().max() < 2e-5 * scale
    assert other_size is not None


def test_this_machine_packs():
    """Otherwise the test above would not cover packing."""
    assert can_pack(torch.device("cpu"))


class Net(nn.Module):
    """Images -> points, with an output layer that must stay in float32."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.hidden = nn.Linear(16, 64)
        self.xyz_regressor = nn.Linear(64, 30)
        self.up = SparseMatrix(torch.eye(10).numpy())

    def forward(self, x):
        points = self.xyz_regressor(torch.relu(self.hidden(self.body(x).mean((2, 3)))))
        return self.up(points.unflatten(1, (10, 3)).transpose(0, 1)).transpose(0, 1)


def run(module, batch):
    return {"vertices": module(batch)}


@pytest.fixture
def net():
    module = Net().eval()
    fill_module(module, 0)
    return module


@pytest.mark.parametrize("count", [1, 3, 8, 11])
def test_any_number_of_inputs_is_batched(net, count):
    with torch.inference_mode():
        expected = net(images(count))
    engine = Engine(net, run, EngineOptions(batch=4), images(2))
    torch.testing.assert_close(engine(images(count))["vertices"], expected, atol=1e-5, rtol=0)
    assert engine.error_mm == 0
    assert engine.memory >= 4 * (16 * 27 + 64 * 16 + 30 * 64)


def test_bf16_error_is_measured_and_the_output_layer_is_float32(net):
    with torch.inference_mode():
        expected = net(images(2))
    engine = Engine(net, run, EngineOptions("bf16"), images(2))
    out = engine(images(2))["vertices"]
    gap = float((out - expected).norm(dim=-1).max()) * 1000
    assert engine.error_mm == pytest.approx(gap, abs=1e-3)
    assert 0 < gap < 100
    assert out.dtype == torch.float32
    # an output layer in bf16 would give multiples of 2^-9 near 1
    assert (out * 512 % 1).abs().max() > 0.01
    hidden = engine.module.hidden  # packed only where the processor has bf16
    assert (hidden.weight if isinstance(hidden, torch.nn.Linear) else hidden).dtype == torch.bfloat16
    assert engine.module.xyz_regressor.weight.dtype == torch.float32


@pytest.mark.slow
def test_compiling_changes_little(net):
    with torch.inference_mode():
        expected = net(images(3))
    engine = Engine(net, run, EngineOptions(compile=True, batch=2), images(2))
    torch.testing.assert_close(engine(images(3))["vertices"], expected, atol=1e-4, rtol=0)
    assert engine.error_mm < 0.1


def test_optimised_networks_require_no_gradients(net):
    optimise(net)
    assert not any(p.requires_grad for p in net.parameters())
    assert not any(isinstance(m, PackedConv) for m in net.modules())


def test_unknown_precisions_are_refused():
    with pytest.raises(BadInput, check=lambda error: error.code == "unknown_precision"):
        EngineOptions("fp8")
