"""Convolutions on the CPU with weights laid out once for oneDNN, and what follows them done in the same pass.

PyTorch reorders every weight at every call otherwise.  These are the operators that torch.compile's CPU backend uses;
they are called here directly, because compiling takes a minute and gains nothing more for convolutions.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from backend.models.backbones.blocks import ResidualBlock


def can_pack(device: torch.device) -> bool:
    """Whether this torch has oneDNN's fused convolution, and the network runs where it works."""
    return (
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")
    )


def pack_convolutions(module: nn.Module) -> None:
    """Replace residual blocks and convolutions, in place; batch norms must be folded, weights are final."""
    for name, child in list(module.named_children()):
        if isinstance(child, ResidualBlock):
            module.add_module(name, PackedBlock(child))
        elif isinstance(child, nn.Conv2d):
            fuse = isinstance(module, nn.Sequential) and _relu_after(module, name)
            module.add_module(name, PackedConv(child, relu=fuse))
        else:
            pack_convolutions(child)


def _relu_after(row: nn.Sequential, name: str) -> bool:
    """Whether a ReLU follows, with nothing but folded norms between; it is taken out of the row then."""
    names = list(dict(row.named_children()))
    for after in names[names.index(name) + 1 :]:
        part = row.get_submodule(after)
        if isinstance(part, nn.ReLU):
            row.add_module(after, nn.Identity())
            return True
        if not isinstance(part, nn.Identity):
            return False
    return False


class PackedConv(nn.Module):
    """A convolution, with ReLU where wanted.  `added` does ReLU(conv(x) + other) in one pass."""

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        padding = cast(tuple[int, ...], conv.padding)
        self.settings = (list(padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.after = "relu" if relu else "none"
        self.dtype = conv.weight.dtype
        # opaque layouts, so no parameters; the best one for a single picture is another than for several
        self._plain: Tensor | None = conv.weight.detach()
        self._packed: dict[bool, Tensor] = {}
        self.bias = None if conv.bias is None else conv.bias.detach()
        self._bytes = conv.weight.numel() * conv.weight.element_size()

    @property
    def memory(self) -> int:
        """Bytes of the weight in all the layouts that were needed so far."""
        return self._bytes * max(len(self._packed), 1)

    def _weight(self, x: Tensor) -> Tensor:
        single = len(x) == 1
        if single not in self._packed:
            plain = self._plain if self._plain is not None else next(iter(self._packed.values())).to_dense()
            self._packed[single] = torch.ops.mkldnn._reorder_convolution_weight(
                plain, *self.settings, list(x.shape)
            )
            self._plain = None
        return self._packed[single]

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(
            x.to(self.dtype), self._weight(x), self.bias, *self.settings, self.after, [], ""
        )

    def added(self, x: Tensor, other: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x.to(self.dtype),
            other.to(self.dtype),
            self._weight(x),
            self.bias,
            *self.settings,
            "add",
            1.0,
            "relu",
            [],
            "",
        )


class PackedBlock(nn.Module):
    """`ResidualBlock` with its convolutions packed."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        last = block.depth
        self.convs = nn.ModuleList(
            PackedConv(cast(nn.Conv2d, getattr(block, f"conv{k}")), relu=k < last) for k in range(1, last + 1)
        )
        shortcut = None if block.downsample is None else cast(nn.Conv2d, block.downsample[0])
        self.shortcut = None if shortcut is None else PackedConv(shortcut, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for conv in list(self.convs)[:-1]:
            y = conv(y)
        other = x if self.shortcut is None else self.shortcut(x)
        return cast(PackedConv, self.convs[-1]).added(y, other)
