"""CPU convolutions and linear layers whose weights are packed once for oneDNN, with the following ReLU or sum fused.

PyTorch otherwise reorders every weight on every call.  These are the operators of torch.compile's CPU backend; they are
called directly, because compiling takes a minute and is no faster for convolutions.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from backend.models.backbones.blocks import ResidualBlock


def can_pack(device: torch.device, dtype: torch.dtype = torch.float32) -> bool:
    """Whether this torch and device have oneDNN's fused operators for `dtype`; bf16 only on some processors."""
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    return (
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def pack(module: nn.Module) -> None:
    """Replace residual blocks, convolutions and linear layers by packed ones, in place; batch norms must be folded.

    Linear layers marked `precise` (see the engine), or `packable` = False because other code reads their weights, stay.
    """
    for name, child in list(module.named_children()):
        if isinstance(child, ResidualBlock):
            module.add_module(name, PackedBlock(child))
        elif isinstance(child, nn.Conv2d):
            fuse = isinstance(module, nn.Sequential) and _relu_after(module, name)
            module.add_module(name, PackedConv(child, relu=fuse))
        elif type(child) is nn.Linear and not hasattr(child, "precise") and getattr(child, "packable", True):
            module.add_module(name, PackedLinear(child))
        else:
            pack(child)


def packed_memory(module: nn.Module) -> int:
    """Bytes of all packed weights."""
    return sum(part.memory for part in module.modules() if isinstance(part, _Packed))


def _relu_after(sequence: nn.Sequential, name: str) -> bool:
    """Whether a ReLU follows layer `name`, with only folded norms between; it is replaced by an Identity then."""
    names = list(dict(sequence.named_children()))
    for after in names[names.index(name) + 1 :]:
        part = sequence.get_submodule(after)
        if isinstance(part, nn.ReLU):
            sequence.add_module(after, nn.Identity())
            return True
        if not isinstance(part, nn.Identity):
            return False
    return False


class _Packed(nn.Module):
    """A layer's weight in oneDNN's layouts, which are opaque and so no parameters.

    The best layout for one image differs from that for several.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.dtype = layer.weight.dtype
        self.bias = None if layer.bias is None else layer.bias.detach()
        self._plain: Tensor | None = layer.weight.detach()
        self._packed: dict[bool, Tensor] = {}
        self._bytes = layer.weight.numel() * layer.weight.element_size()

    @property
    def memory(self) -> int:
        """Bytes of the weight in all layouts in use so far."""
        return self._bytes * max(len(self._packed), 1)

    def weight_for(self, x: Tensor) -> Tensor:
        """The packed weight for a batch of x's size."""
        single = len(x) == 1
        if single not in self._packed:
            plain = self._plain if self._plain is not None else next(iter(self._packed.values())).to_dense()
            self._packed[single] = self.reorder(plain, x)
            self._plain = None
        return self._packed[single]

    def reorder(self, plain: Tensor, x: Tensor) -> Tensor:
        raise NotImplementedError


class PackedLinear(_Packed):
    """`nn.Linear` with a packed weight."""

    def reorder(self, plain: Tensor, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._reorder_linear_weight(plain, x[..., 0].numel())

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x.to(self.dtype), self.weight_for(x), self.bias, "none", [], "")


class PackedConv(_Packed):
    """`nn.Conv2d` with a packed weight, and a ReLU if `relu`."""

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        super().__init__(conv)
        padding = cast(tuple[int, ...], conv.padding)
        self.settings = (list(padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.after = "relu" if relu else "none"

    def reorder(self, plain: Tensor, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._reorder_convolution_weight(plain, *self.settings, list(x.shape))

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(
            x.to(self.dtype), self.weight_for(x), self.bias, *self.settings, self.after, [], ""
        )

    def added(self, x: Tensor, other: Tensor) -> Tensor:
        """relu(conv(x) + other) in one pass."""
        fused: tuple[Any, ...] = ("add", 1.0, "relu", [], "")
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x.to(self.dtype), other.to(self.dtype), self.weight_for(x), self.bias, *self.settings, *fused
        )


class PackedBlock(nn.Module):
    """`ResidualBlock` with packed convolutions."""

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
