"""ResNet-50 (He et al., CVPR 2016) with torchvision's parameter names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.models.backbones.blocks import bottlenecks


class ResNet50(nn.Module):
    """Input (N, 3, H, W), ImageNet-normalised RGB.  `forward` -> (N, 2048, H/32, W/32), after the last ReLU."""

    channels = (256, 512, 1024, 2048)  # of the maps at strides 4, 8, 16, 32

    def __init__(self, classes: int = 0) -> None:
        """classes: size of the unused ImageNet classifier `fc`; 0 leaves it out."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = bottlenecks(64, 64, 3)
        self.layer2 = bottlenecks(256, 128, 4, stride=2)
        self.layer3 = bottlenecks(512, 256, 6, stride=2)
        self.layer4 = bottlenecks(1024, 512, 3, stride=2)
        if classes:
            self.fc = nn.Linear(2048, classes)

    def features(self, x: Tensor) -> list[Tensor]:
        """The four maps C2..C5 (N, C, H/s, W/s) at strides s = 4, 8, 16, 32."""
        x = self.maxpool(torch.relu_(self.bn1(self.conv1(x))))
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)[-1]


def sequential_resnet50() -> nn.Sequential:
    """ResNet-50 as the sequence of its children, with the keys of FastMETRO's checkpoints.

    `0` is conv1, `1` bn1, `4` to `7` are layer1 to layer4.
    """
    net = ResNet50()
    stem = net.conv1, net.bn1, nn.ReLU(inplace=True), net.maxpool
    return nn.Sequential(*stem, net.layer1, net.layer2, net.layer3, net.layer4)
