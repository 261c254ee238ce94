"""Backbones: shapes of the maps, parameter counts of the published networks, names in the official files."""

import pytest
import torch

from backend.models.backbones.hrnet import HRNet
from backend.models.backbones.resnet import ResNet50, sequential_resnet50


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_resnet50_is_torchvisions():
    net = ResNet50(classes=1000)
    assert parameters(net) == 25_557_032
    assert {"conv1.weight", "layer1.0.downsample.0.weight", "layer4.2.bn3.running_var", "fc.bias"} <= set(
        net.state_dict()
    )
    maps = ResNet50().eval().features(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [(256, 16, 24), (512, 8, 12), (1024, 4, 6), (2048, 2, 3)]


def test_sequential_resnet50_is_the_same_network():
    net, sequential = ResNet50().eval(), sequential_resnet50().eval()
    names = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
    state = net.state_dict()
    sequential.load_state_dict(
        {key: state[f"{names[key.split('.')[0]]}.{key.split('.', 1)[1]}"] for key in sequential.state_dict()}
    )
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(net(x), sequential(x))


@pytest.mark.parametrize(
    ("width", "head", "count", "entries"),
    [
        (32, "multi", 29_305_536, 1830),
        (48, "multi", 65_325_120, 1830),
        (48, "pose", None, 1754),
        (64, "classification", 128_059_944, 1956),
    ],
)
def test_hrnet_is_the_published_one(width, head, count, entries):
    net = HRNet(width, head)
    assert len(net.state_dict()) == entries
    assert count is None or parameters(net) == count


def test_hrnet_outputs_of_each_head():
    x = torch.zeros(1, 3, 64, 64)
    with torch.inference_mode():
        maps = HRNet(32, "multi").eval()(x)
        assert [tuple(m.shape[1:]) for m in maps] == [(32, 16, 16), (64, 8, 8), (128, 4, 4), (256, 2, 2)]
        assert HRNet(32, "pose", joints=5).eval()(x).shape == (1, 5, 16, 16)
        assert HRNet(18, "classification").eval()(x).shape == (1, 2048, 2, 2)
