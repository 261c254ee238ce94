"""The residual blocks and convolution units that ResNet and HRNet share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """Convolution without bias, batch norm, and a ReLU if `relu`; state-dict keys `0.weight`, `1.*`."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


class ResidualBlock(nn.Module):
    """Residual block of He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.

    kernels (3, 3): the basic block; (1, 3, 1): the bottleneck.  The first 3x3 convolution has the stride (torchvision's
    version 1.5).
    """

    def __init__(self, inputs: int, width: int, kernels: tuple[int, ...], expansion: int, stride: int = 1) -> None:
        super().__init__()
        self.depth = len(kernels)
        outputs, channels = width * expansion, inputs
        strided = kernels.index(3)
        for k, kernel in enumerate(kernels):
            after = outputs if k == self.depth - 1 else width
            step = stride if k == strided else 1
            self.add_module(f"conv{k + 1}", nn.Conv2d(channels, after, kernel, step, kernel // 2, bias=False))
            self.add_module(f"bn{k + 1}", nn.BatchNorm2d(after))
            channels = after
        changes = stride != 1 or inputs != outputs
        self.downsample = conv_bn(inputs, outputs, 1, stride, relu=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for k in range(1, self.depth + 1):
            y = getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(y))
            if k < self.depth:
                y = torch.relu_(y)
        return torch.relu_(y + (x if self.downsample is None else self.downsample(x)))


def bottlenecks(inputs: int, width: int, count: int, stride: int = 1) -> nn.Sequential:
    """`count` bottlenecks in sequence with 4 * width outputs; the first has the stride."""
    first = ResidualBlock(inputs, width, (1, 3, 1), 4, stride)
    return nn.Sequential(first, *(ResidualBlock(4 * width, width, (1, 3, 1), 4) for _ in range(count - 1)))
