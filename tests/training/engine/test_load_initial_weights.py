"""Initial weights: backbones in their authors' formats, full networks, parts, and files that do not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.errors import BadInput
from backend.models.backbones.hrnet import HRNet
from backend.models.backbones.resnet import ResNet50, sequential_resnet50
from training.weights.initial_weights import load_backbone, load_network


@pytest.fixture(scope="module")
def torchvision_file(tmp_path_factory):
    """A file as torchvision's, with the classifier."""
    torch.manual_seed(1)
    net = ResNet50(classes=1000)
    path = tmp_path_factory.mktemp("weights") / "resnet50-0676ba61.pth"
    torch.save(net.state_dict(), path)
    return path, net


def test_torchvision_into_the_sequential_backbone(torchvision_file):
    path, net = torchvision_file
    torch.manual_seed(2)
    backbone = sequential_resnet50()
    loaded = load_backbone(backbone, path)
    assert not loaded.missing_keys
    torch.testing.assert_close(backbone[0].weight, net.conv1.weight)
    torch.testing.assert_close(backbone[7][2].conv3.weight, net.layer4[2].conv3.weight)


def test_mmpose_prefix_and_head(torchvision_file, tmp_path):
    _, net = torchvision_file
    tensors = {f"backbone.{k}": v for k, v in net.state_dict().items() if not k.startswith("fc")}
    tensors["keypoint_head.final_layer.weight"] = torch.zeros(17, 256, 1, 1)
    torch.save({"state_dict": tensors, "meta": {"epoch": 3}}, tmp_path / "res50_coco.pth")
    backbone = ResNet50()
    assert not load_backbone(backbone, tmp_path / "res50_coco.pth").missing_keys
    torch.testing.assert_close(backbone.layer1[0].conv1.weight, net.layer1[0].conv1.weight)


def test_pose_hrnet_without_three_fusions_is_loaded(tmp_path):
    """Published heatmap weights have no outputs at strides 8 to 32: those stay random, and the report lists them."""
    torch.manual_seed(1)
    full = HRNet(32, "multi").state_dict()
    lower = [k for k in full if k.startswith(tuple(f"stage4.2.fuse_layers.{n}." for n in (1, 2, 3)))]
    tensors = {k: v for k, v in full.items() if k not in lower} | {"final_layer.weight": torch.zeros(17, 32, 1, 1)}
    torch.save(tensors, tmp_path / "pose_hrnet_w32_256x256.pth")
    torch.manual_seed(2)
    backbone = HRNet(32, "multi")
    loaded = load_backbone(backbone, tmp_path / "pose_hrnet_w32_256x256.pth")
    assert set(loaded.missing_keys) == {k for k in lower if not k.endswith("num_batches_tracked")}
    assert "random values stay in" in str(loaded)


def test_a_wrong_backbone_is_refused(torchvision_file, tmp_path):
    path, _ = torchvision_file
    with pytest.raises(BadInput, match="does not fit the backbone"):
        load_backbone(HRNet(32, "multi"), path)
    torch.save({"conv1.weight": torch.zeros(1, 3, 7, 7)}, tmp_path / "other.pth")
    with pytest.raises(BadInput, match=r"conv1\.weight|most of"):
        load_backbone(ResNet50(), tmp_path / "other.pth")


class FullNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.pose_lifter = nn.Linear(3, 4)
        self.pose2mesh = nn.Linear(4, 5)


def test_weights_of_the_lifter_alone_are_loaded(tmp_path):
    lifter = nn.Linear(3, 4)
    torch.save({"model_state_dict": lifter.state_dict()}, tmp_path / "posenet.pth.tar")
    net = FullNetwork()
    before = net.pose2mesh.weight.clone()
    loaded = load_network(net, tmp_path / "posenet.pth.tar")
    torch.testing.assert_close(net.pose_lifter.weight, lifter.weight)
    torch.testing.assert_close(net.pose2mesh.weight, before)
    assert set(loaded.missing_keys) == {"pose2mesh.weight", "pose2mesh.bias"}


def test_a_missing_tensor_is_refused(tmp_path):
    tensors = FullNetwork().state_dict()
    del tensors["pose2mesh.bias"]
    torch.save(tensors, tmp_path / "x.pth")
    with pytest.raises(BadInput, match=r"missing: pose2mesh\.bias"):
        load_network(FullNetwork(), tmp_path / "x.pth")
