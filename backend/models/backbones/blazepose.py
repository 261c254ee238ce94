"""The trunk of MediaPipe's pose network: image features that know real people, for small networks of our own.

Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking", 2020.  The layers are those of
pose_landmark_full.tflite, which lies in MediaPipe's wheel (Apache-2.0); batch norm is already inside the convolutions.
Left out: the last linear layers, which answer with landmarks, and the head that answers with the silhouette.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models.crops import IMAGENET_MEAN, IMAGENET_STD

_LATERAL = 48  # channels of the maps on the way up
_LAST = 288
_SIDE = 256  # px: it was taught on pictures of this size
# blocks of the landmark head: those of stride 2 halve the map, from 8 x 8 to 2 x 2
_HEAD = (2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1)
_CELLS = 4  # of the head's last map
_GAIN = 4.0  # its values are so many times smaller than those of the map beside them
_MIN_SPREAD = 0.03  # many channels are silent on pictures of one kind, and must not shout on others
_MAX_SPREADS, _UNLIMITED = 8.0, 1e4  # spreads; before that is measured
_EARLY = 2  # stages that see edges and parts of limbs, and cost the most
# per stage: (expanded, outputs, kernel) of its blocks; the first one has stride 2
_STAGES = (
    ((64, 24, 3), (144, 24, 3)),
    ((144, 32, 5), (192, 32, 5)),
    ((192, 64, 3), (384, 64, 3), (384, 64, 3), (384, 88, 5), (528, 88, 5), (528, 88, 5)),
    ((528, 144, 5), (864, 144, 5), (864, 144, 5), (864, 144, 5)),
)


class BlazePose(nn.Module):
    """Input (N, 3, H, W), ImageNet-normalised RGB, H and W multiples of 32; looked at as 256 x 256.

    `features` -> four maps (N, C, H/s, W/s), s = 4, 8, 16, 32, C = 48, 48, 48, 1440; `forward` -> the last one.  Its
    first 288 channels are the map; the others are the same at every pixel: what MediaPipe's linear layers read the
    person's landmarks from, times 4, so that they are easily read from the map's mean, too.

    The last map is standardised once it is `calibrate`d: raw, its channels differ so much that learning is slow.
    `features` is `late` after `early`, so that a training may keep what the early layers see: four fifths of the work.
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
        """The maps at strides 4, 8, 16 (each sees the coarser ones too) and 32."""
        return self.late(self.early(x), [(x.shape[2] // s, x.shape[3] // s) for s in (4, 8, 16, 32)])

    def early(self, x: Tensor) -> list[Tensor]:
        """-> what the first two stages see, (N, 24, 64, 64) and (N, 32, 32, 32)."""
        x = _resized(x * self.std + self.mean, (_SIDE, _SIDE))  # it was taught on [0, 1]
        # on a CPU a third faster than the usual order
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        levels = []
        for stage in self.stages[:_EARLY]:
            x = stage(x)
            levels.append(x)
        return levels

    def early_layers(self) -> list[nn.Module]:
        return [self.stem, *self.stages[:_EARLY]]

    def late(self, levels: list[Tensor], sizes: list[tuple[int, int]]) -> list[Tensor]:
        """What `early` gives, and the sizes of the four maps -> the maps."""
        levels = [level.contiguous(memory_format=torch.channels_last) for level in levels]
        x = levels[-1]
        for stage in self.stages[_EARLY:]:
            x = stage(x)
            levels.append(x)
        top = self.top(levels.pop())
        last = self.last(top)
        person = _GAIN * self.head(last).permute(0, 2, 3, 1).flatten(1)[..., None, None]
        last = torch.cat([_resized(last, sizes[3]), person.expand(-1, -1, *sizes[3])], 1)
        moved = (last - self.offset[:, None, None]) / self.spread[:, None, None]
        maps = [moved.clamp(-self.limit, self.limit)]
        way = self.lateral[-1](top)
        for lateral, level, size in zip(
            reversed(self.lateral[:-1]), reversed(levels), reversed(sizes[:3]), strict=True
        ):
            side = lateral(level)
            way = _resized(way, side.shape[2:]) + side
            maps.insert(0, _resized(way, size))
        return [x.contiguous() for x in maps]

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)[-1]

    @torch.no_grad()
    def calibrate(self, images: Iterable[Tensor]) -> None:
        """Standardise the last map by its pixels on these pictures: batches as `forward` takes them, 2 at least."""
        self.offset.zero_()
        self.spread.fill_(1.0)
        self.limit.fill_(_UNLIMITED)
        found = torch.cat([self(batch) for batch in images])
        self.offset.copy_(found.mean((0, 2, 3)))
        self.spread.copy_(found.std((0, 2, 3)).clamp(min=_MIN_SPREAD))
        self.limit.fill_(_MAX_SPREADS)


class HeadBlock(nn.Module):
    """MediaPipe's BlazeBlock: a depthwise separable convolution beside the identity, or beside a maximum where the map
    is halved (then padded on the right and below only, as TensorFlow does)."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        padding = 1 if stride == 1 else 0
        self.around = nn.Conv2d(channels, channels, 3, stride, padding, groups=channels)
        self.across = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        halved = self.stride == 2
        seen = functional.relu6(self.around(functional.pad(x, (0, 1, 0, 1)) if halved else x))
        return functional.relu6((functional.max_pool2d(x, 2) if halved else x) + self.across(seen))


class InvertedResidual(nn.Module):
    """Sandler et al., "MobileNetV2", CVPR 2018: expand, look around channel by channel, project."""

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
