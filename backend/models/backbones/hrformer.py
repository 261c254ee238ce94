"""HRFormer-S and -B, all four scales, with the parameter names of MMPose's pose checkpoints.

Yuan et al., "HRFormer: High-Resolution Transformer for Dense Prediction", NeurIPS 2021.  Keys are those of MMPose's
files `hrformer_{small,base}_coco_*.pth` under `backbone.`, after its source: the stem, `layer1` and `transition*`
are HRNet's; a branch's block has `norm1`, `attn.attn.{qkv,proj,relative_position_bias_table,relative_position_index}`,
`norm2` and `ffn.{fc1,norm1,dw3x3,norm2,fc2,norm3}`.  The authors' own repository uses other names (`mlp`, separate
q, k, v).  Heat-map checkpoints have no weights for the last module's outputs at strides 8 to 32
(`stage4.1.fuse_layers.{1,2,3}`): these keep random weights.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models.backbones.blocks import conv_bn
from backend.models.backbones.hrnet import HighResolutionBackbone, MultiScaleModule, transition

_MODULES = {2: 1, 3: 4, 4: 2}  # exchange modules per stage; stage s has s branches
_BLOCKS = 2  # per branch
_WINDOW = 7
_EPS = 1e-6


class HRFormer(HighResolutionBackbone):
    """Input (N, 3, H, W), ImageNet-normalised RGB, H and W multiples of 32 -> four maps (N, C, H/s, W/s), s 4 to 32."""

    def __init__(self, size: Literal["small", "base"]) -> None:
        width, heads, drop = {"small": (32, 1, 0.1), "base": (78, 2, 0.2)}[size]
        super().__init__(width, 2)
        # stochastic depth: deeper blocks are dropped more often
        rates = iter(torch.linspace(0, drop, _BLOCKS * sum(_MODULES.values())).tolist())
        before: tuple[int, ...] = (256,)
        for stage, modules in _MODULES.items():
            after = self.channels[:stage]
            self.add_module(f"transition{stage - 1}", transition(before, after))
            exchange = [ExchangeModule(after, heads, [next(rates) for _ in range(_BLOCKS)]) for _ in range(modules)]
            self.add_module(f"stage{stage}", nn.Sequential(*exchange))
            before = after
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                nn.init.zeros_(part.bias)

    forward = HighResolutionBackbone.features


class ExchangeModule(MultiScaleModule):
    """HRFormer's: branches of transformer blocks."""

    def __init__(self, channels: tuple[int, ...], heads: int, drop: list[float]) -> None:
        branches = (nn.Sequential(*(Block(c, heads * 2**k, rate) for rate in drop)) for k, c in enumerate(channels))
        super().__init__(branches, channels, len(channels), _path)


def _path(channels: tuple[int, ...], source: int, target: int) -> nn.Module:
    """Resampling between two scales.  Up: 1x1, bilinear.  Down: depthwise 3x3, 1x1 (HRNet: nearest, full 3x3)."""
    before, after = channels[source], channels[target]
    if source > target:
        up = nn.Upsample(scale_factor=2 ** (source - target), mode="bilinear", align_corners=False)
        return nn.Sequential(*conv_bn(before, after, 1, relu=False), up)
    steps = []
    for k in range(source, target):
        last = k == target - 1
        depthwise = nn.Conv2d(before, before, 3, 2, 1, groups=before, bias=False)
        mix = conv_bn(before, after if last else before, 1, relu=not last)
        steps.append(nn.Sequential(depthwise, nn.BatchNorm2d(before), *mix))
    return nn.Sequential(*steps)


class Block(nn.Module):
    """Attention in windows of 7 x 7, then a feed-forward part whose 3x3 convolution connects the windows."""

    def __init__(self, width: int, heads: int, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.norm1 = nn.LayerNorm(width, eps=_EPS)
        self.attn = WindowAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=_EPS)
        self.ffn = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = x + self._drop_path(self.attn(self.norm1(x)))
        x = x + self._drop_path(self.ffn(self.norm2(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        return x.permute(0, 3, 1, 2)

    def _drop_path(self, x: Tensor) -> Tensor:
        """x with random samples zeroed in training: Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016."""
        if not self.training or not self.drop:
            return x
        kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop
        return x * kept / (1 - self.drop)


class WindowAttention(nn.Module):
    """Self-attention within windows; the map is padded with zeros on all sides, and the padding is not masked."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = RelativeAttention(width, heads)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> the same."""
        count, height, wide, channels = x.shape
        rows, columns = -(-height // _WINDOW), -(-wide // _WINDOW)
        below, right = rows * _WINDOW - height, columns * _WINDOW - wide
        top, left = below // 2, right // 2
        x = functional.pad(x, (0, 0, left, right - left, top, below - top))
        x = x.view(count, rows, _WINDOW, columns, _WINDOW, channels).transpose(2, 3)
        x = self.attn(x.reshape(-1, _WINDOW * _WINDOW, channels))
        x = x.view(count, rows, columns, _WINDOW, _WINDOW, channels).transpose(2, 3)
        x = x.reshape(count, rows * _WINDOW, columns * _WINDOW, channels)
        return x[:, top : top + height, left : left + wide]


class RelativeAttention(nn.Module):
    """Multi-head attention among the pixels of a window, with a learned bias per relative position."""

    relative_position_index: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        span = 2 * _WINDOW - 1
        self.relative_position_bias_table = nn.Parameter(torch.empty(span * span, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        pixel = torch.arange(_WINDOW * _WINDOW)
        y, x = pixel // _WINDOW, pixel % _WINDOW
        index = (y[:, None] - y + _WINDOW - 1) * span + x[:, None] - x + _WINDOW - 1
        self.register_buffer("relative_position_index", index)  # persistent: checkpoints contain it
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(windows, 49, C) -> the same."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias[None].to(q.dtype))
        return self.proj(out.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """1x1, depthwise 3x3 and 1x1 convolution, each with batch norm and GELU, the last one too.  (N, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 4 * width
        self.fc1 = nn.Conv2d(width, hidden, 1)
        self.norm1: nn.Module = nn.BatchNorm2d(hidden)
        self.dw3x3 = nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden)
        self.norm2: nn.Module = nn.BatchNorm2d(hidden)
        self.fc2 = nn.Conv2d(hidden, width, 1)
        self.norm3: nn.Module = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.gelu(self.norm1(self.fc1(x)))
        x = functional.gelu(self.norm2(self.dw3x3(x)))
        return functional.gelu(self.norm3(self.fc2(x)))

    def fold_batch_norm(self) -> None:
        """Fold the batch norms into the convolutions, for inference only; see `backend.models.inference.engine`."""
        for layer, norm in (("fc1", "norm1"), ("dw3x3", "norm2"), ("fc2", "norm3")):
            batch_norm = getattr(self, norm)
            if isinstance(batch_norm, nn.BatchNorm2d):
                folded = nn.utils.fuse_conv_bn_eval(getattr(self, layer).double().eval(), batch_norm.double().eval())
                setattr(self, layer, folded.float())
                setattr(self, norm, nn.Identity())
