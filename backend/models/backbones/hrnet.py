"""HRNet with the parameter names of its official classification and pose checkpoints.

Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation", CVPR 2019, and Wang et al., PAMI
2020 (classification head).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from backend.models.backbones.blocks import ResidualBlock, bottlenecks, conv_bn

_MODULES = {2: 1, 3: 4, 4: 3}  # exchange modules per stage; stage s has s branches
_HEAD_WIDTHS = (32, 64, 128, 256)  # bottlenecks of the classification head, per branch


class MultiScaleModule(nn.Module):
    """Parallel branches, one per scale; then each scale's output is the sum over all scales."""

    def __init__(
        self, branches: Iterable[nn.Module], channels: tuple[int, ...], outputs: int, path: Callable[..., nn.Module]
    ) -> None:
        """path: channels, two scales -> the layers from one to the other.  outputs: number of target scales."""
        super().__init__()
        self.branches = nn.ModuleList(branches)
        scales = range(len(channels))
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(nn.Identity() if s == t else path(channels, s, t) for s in scales) for t in range(outputs)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for paths in self.fuse_layers:
            assert isinstance(paths, nn.ModuleList)
            total = paths[0](maps[0])
            for path, x in zip(list(paths)[1:], maps[1:], strict=True):
                total = total + path(x)
            fused.append(torch.relu(total))
        return fused


class ExchangeModule(MultiScaleModule):
    """HRNet's: branches of four basic blocks."""

    def __init__(self, channels: tuple[int, ...], outputs: int) -> None:
        branches = (nn.Sequential(*(ResidualBlock(c, c, (3, 3), 1) for _ in range(4))) for c in channels)
        super().__init__(branches, channels, outputs, self._path)

    @staticmethod
    def _path(channels: tuple[int, ...], source: int, target: int) -> nn.Module:
        before, after = channels[source], channels[target]
        if source > target:
            up = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
            return nn.Sequential(*conv_bn(before, after, 1, relu=False), up)
        steps = target - source
        # only the last step changes the width, and has no ReLU
        return nn.Sequential(
            *(conv_bn(before, before, 3, 2) for _ in range(steps - 1)),
            conv_bn(before, after, 3, 2, relu=False),
        )


class HighResolutionBackbone(nn.Module):
    """The stem of HRNet and HRFormer, and the loop over their stages 2 to 4; stage s has s scales.

    Subclasses add `transition1` to `transition3` and `stage2` to `stage4`.
    """

    def __init__(self, width: int, count: int) -> None:
        """width: channels of the finest map; count: bottlenecks of the first stage."""
        super().__init__()
        self.channels = (width, 2 * width, 4 * width, 8 * width)
        self.conv1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.layer1 = bottlenecks(64, 64, count)

    def features(self, x: Tensor) -> list[Tensor]:
        """All outputs of the last stage, strides 4, 8, 16, 32 (head `pose`: the first alone)."""
        x = torch.relu_(self.bn1(self.conv1(x)))
        x = torch.relu_(self.bn2(self.conv2(x)))
        maps = [self.layer1(x)]
        for stage in (2, 3, 4):
            paths = getattr(self, f"transition{stage - 1}")
            # a new scale is computed from the coarsest map
            maps = [path(maps[min(k, len(maps) - 1)]) for k, path in enumerate(paths)]
            maps = getattr(self, f"stage{stage}")(maps)
        return maps


class HRNet(HighResolutionBackbone):
    """Input (N, 3, H, W), ImageNet-normalised RGB.

    head `multi`: forward -> four maps (N, w, H/4, W/4), (N, 2w, H/8, W/8), ...: the pose network without its head.
    head `pose`: forward -> (N, joints, H/4, W/4) heat maps.
    head `classification`: forward -> (N, 2048, H/32, W/32), the map before pooling; `classifier` is unused, but in the
    checkpoints.
    """

    def __init__(self, width: int, head: Literal["multi", "pose", "classification"], joints: int = 17) -> None:
        super().__init__(width, 4)
        self.head = head
        before: tuple[int, ...] = (256,)
        for stage, modules in _MODULES.items():
            after = self.channels[:stage]
            self.add_module(f"transition{stage - 1}", transition(before, after))
            # a heat map needs the finest output only
            last = 1 if head == "pose" and stage == 4 else stage
            self.add_module(
                f"stage{stage}",
                nn.Sequential(*(ExchangeModule(after, last if m == modules - 1 else stage) for m in range(modules))),
            )
            before = after
        self.final_layer: nn.Module
        if head == "pose":
            self.final_layer = nn.Conv2d(width, joints, 1)
        if head == "classification":
            widths = [4 * w for w in _HEAD_WIDTHS]
            self.incre_modules = nn.ModuleList(
                bottlenecks(c, w, 1) for c, w in zip(self.channels, _HEAD_WIDTHS, strict=True)
            )
            self.downsamp_modules = nn.ModuleList(_with_bias(a, b, 3, 2) for a, b in pairwise(widths))
            self.final_layer = _with_bias(widths[-1], 2048, 1, 1)
            self.classifier = nn.Linear(2048, 1000)
        else:
            # the authors' initialisation: their files have no weights for the coarse outputs of the last module
            for part in self.modules():
                if isinstance(part, nn.Conv2d):
                    nn.init.normal_(part.weight, std=0.001)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        maps = self.features(x)
        if self.head == "multi":
            return maps
        if self.head == "pose":
            return self.final_layer(maps[0])
        total = self.incre_modules[0](maps[0])
        for k, down in enumerate(self.downsamp_modules):
            total = self.incre_modules[k + 1](maps[k + 1]) + down(total)
        return self.final_layer(total)


def transition(before: tuple[int, ...], after: tuple[int, ...]) -> nn.ModuleList:
    """Layers from a stage's maps of `before` channels to the next one's `after`, with one more scale."""
    paths: list[nn.Module] = []
    for k, channels in enumerate(after):
        if k >= len(before):
            paths.append(nn.Sequential(conv_bn(before[-1], channels, 3, 2)))
        elif before[k] != channels:
            paths.append(conv_bn(before[k], channels))
        else:
            paths.append(nn.Identity())
    return nn.ModuleList(paths)


def _with_bias(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
