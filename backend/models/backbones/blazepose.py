"""The backbone of MediaPipe's pose network, trained on photos of people, for our small networks.

Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking", 2020.  The layers are those of
pose_landmark_full.tflite in MediaPipe's wheel (Apache-2.0), where batch norms are folded into the convolutions.  Left
out: the last linear layers, whose outputs are landmarks, and the segmentation head.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models.crops import IMAGENET_MEAN, IMAGENET_STD

_LATERAL = 48  # channels of the top-down maps
_LAST = 288
_SIDE = 256  # px, of the images that MediaPipe trained it on
# blocks of the landmark head: those of stride 2 halve the map, from 8 x 8 to 2 x 2
_HEAD = (2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1)
_CELLS = 4  # pixels of the head's last map
_GAIN = 4.0  # brings the head's values to the scale of the last map's
# Bounds of the standardised map.  Many channels are constant on the images of `calibrate` and vary on others
_MIN_SPREAD = 0.03  # origin not recorded
_MAX_SPREADS = 8.0  # standard deviations; origin not recorded
_UNLIMITED = 1e4  # in place of _MAX_SPREADS before `calibrate`
_EARLY = 2  # stages of `early`: edges and parts of limbs, four fifths of the work
# per stage: (expanded, outputs, kernel) of its blocks; the first one has stride 2
_STAGES = (
    ((64, 24, 3), (144, 24, 3)),
    ((144, 32, 5), (192, 32, 5)),
    ((192, 64, 3), (384, 64, 3), (384, 64, 3), (384, 88, 5), (528, 88, 5), (528, 88, 5)),
    ((528, 144, 5), (864, 144, 5), (864, 144, 5), (864, 144, 5)),
)


class BlazePose(nn.Module):
    """Input (N, 3, H, W), ImageNet-normalised RGB, H and W multiples of 32; resized to 256 x 256.

    `features` -> four maps (N, C, H/s, W/s), s = 4, 8, 16, 32, C = 48, 48, 48, 1440; `forward` -> the last one.  Its
    first 288 channels are the map.  The other channels are constant over the pixels: the features that MediaPipe's
    linear layers predict landmarks from, times 4, so that the map's mean contains them too.

    `calibrate` standardises the last map: the scales of its raw channels differ so much that training is slow.
    `features` is `late` after `early`, so that a training can cache the output of the early layers.
    """

    channels = (_LATERAL, _LATERAL, _LATERAL, _LAST + _CELLS * _LAST)
    mean: Tensor
    std: Tensor
    offset: Tensor
    spread: Tensor
    limit: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(self.channels[-1]))
        self.register_buffer("spread", torch.ones(self.channels[-1]))
        self.register_buffer("limit", torch.tensor(_UNLIMITED))
        self.register_buffer("mean", torch.as_tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.as_tensor(IMAGENET_STD)[:, None, None], persistent=False)
        self.stem = nn.Sequential(_convolution(3, 24, 3, 2), _depthwise(24, 3), _convolution(24, 16, relu=False))
        self.stages, self.lateral = nn.ModuleList(), nn.ModuleList()
        channels = 16
        for number, blocks in enumerate(_STAGES):
            stage = nn.Sequential()
            for k, (expanded, outputs, kernel) in enumerate(blocks):
                stage.append(InvertedResidual(channels, expanded, outputs, kernel, 1 if k else 2))
                channels = outputs
            self.stages.append(stage)
            if number < len(_STAGES) - 1:
                self.lateral.append(nn.Sequential(_depthwise(channels, 3), _convolution(channels, _LATERAL)))
        wide = _STAGES[-1][-1][0]
        self.top = nn.Sequential(_convolution(channels, wide), _depthwise(wide, 3))
        self.lateral.append(nn.Sequential(_depthwise(wide, 3), _convolution(wide, _LATERAL)))
        self.last = nn.Sequential(_depthwise(wide, 3), _convolution(wide, _LAST))
        self.head = nn.Sequential(*(HeadBlock(_LAST, stride) for stride in _HEAD))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, x: Tensor) -> list[Tensor]:
        """The maps at strides 4, 8, 16 (top-down, as in a feature pyramid) and 32."""
        return self.late(self.early(x), [(x.shape[2] // s, x.shape[3] // s) for s in (4, 8, 16, 32)])

    def early(self, x: Tensor) -> list[Tensor]:
        """The outputs of the first two stages, (N, 24, 64, 64) and (N, 32, 32, 32)."""
        x = _resized(x * self.std + self.mean, (_SIDE, _SIDE))  # MediaPipe's input range is [0, 1]
        # channels last is a third faster on a CPU
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        levels = []
        for stage in self.stages[:_EARLY]:
            x = stage(x)
            levels.append(x)
        return levels

    def early_layers(self) -> list[nn.Module]:
        """The modules of `early`."""
        return [self.stem, *self.stages[:_EARLY]]

    def late(self, levels: list[Tensor], sizes: list[tuple[int, int]]) -> list[Tensor]:
        """The four maps.  levels: from `early`; sizes: (H, W) of the maps."""
        levels = [level.contiguous(memory_format=torch.channels_last) for level in levels]
        x = levels[-1]
        for stage in self.stages[_EARLY:]:
            x = stage(x)
            levels.append(x)
        top = self.top(levels.pop())
        last = self.last(top)
        person = _GAIN * self.head(last).permute(0, 2, 3, 1).flatten(1)[..., None, None]
        last = torch.cat([_resized(last, sizes[3]), person.expand(-1, -1, *sizes[3])], 1)
        standardised = (last - self.offset[:, None, None]) / self.spread[:, None, None]
        maps = [standardised.clamp(-self.limit, self.limit)]
        x = self.lateral[-1](top)
        for lateral, level, size in zip(
            reversed(self.lateral[:-1]), reversed(levels), reversed(sizes[:3]), strict=True
        ):
            side = lateral(level)
            x = _resized(x, side.shape[2:]) + side
            maps.insert(0, _resized(x, size))
        return [level.contiguous() for level in maps]

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)[-1]

    @torch.no_grad()
    def calibrate(self, images: Iterable[Tensor]) -> None:
        """Set the last map's mean and standard deviation from images: at least 2 batches of `forward`'s input."""
        self.offset.zero_()
        self.spread.fill_(1.0)
        self.limit.fill_(_UNLIMITED)
        maps = torch.cat([self(batch) for batch in images])
        self.offset.copy_(maps.mean((0, 2, 3)))
        self.spread.copy_(maps.std((0, 2, 3)).clamp(min=_MIN_SPREAD))
        self.limit.fill_(_MAX_SPREADS)


class HeadBlock(nn.Module):
    """MediaPipe's BlazeBlock: a depthwise separable convolution plus the identity, or plus max pooling at stride 2
    (then padded on the right and below only, as TensorFlow does)."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        padding = 1 if stride == 1 else 0
        self.around = nn.Conv2d(channels, channels, 3, stride, padding, groups=channels)
        self.across = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        halved = self.stride == 2
        y = functional.relu6(self.around(functional.pad(x, (0, 1, 0, 1)) if halved else x))
        return functional.relu6((functional.max_pool2d(x, 2) if halved else x) + self.across(y))


class InvertedResidual(nn.Module):
    """Sandler et al., "MobileNetV2", CVPR 2018: 1x1 expansion, depthwise convolution, 1x1 projection."""

    def __init__(self, inputs: int, expanded: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _convolution(inputs, expanded),
            _depthwise(expanded, kernel, stride),
            _convolution(expanded, outputs, relu=False),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


def _resized(x: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    if x.shape[2:] == tuple(size):
        return x
    return functional.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def _convolution(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, relu: bool = True, groups: int = 1
) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
    return nn.Sequential(layer, nn.ReLU6()) if relu else nn.Sequential(layer)


def _depthwise(channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return _convolution(channels, channels, kernel, stride, groups=channels)
