"""Running a network fast: no autograd, folded batch norms, cached constants, fixed batches, bf16 and torch.compile.

Exact steps change the outputs by rounding only.  bf16 and torch.compile are the user's choice; the difference that they
make is measured in millimetres on the network that is loaded.
"""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from backend.errors import BadInput
from backend.models.inference.onednn_packing import can_pack, pack, packed_memory

PRECISIONS = ("fp32", "bf16")
# Layers whose outputs are coordinates or rotations: bf16's 8 bits of mantissa would move vertices by millimetres
_PRECISE = (
    "xyz_regressor", "cam_predictor", "coarse2intermediate_upsample", "theta_predictor", "beta_predictor",
    "decpose", "decshape", "deccam",
)  # fmt: skip


@dataclass(frozen=True)
class EngineOptions:
    """How a network runs.

    precision: `fp32` or `bf16`; compile: torch.compile, whose first call takes a minute; batch: people per batch.
    """

    precision: str = "fp32"
    compile: bool = False
    batch: int = 8

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise BadInput(
                "unknown_precision",
                f"There is no precision {self.precision!r}.",
                f"Choose one of: {', '.join(PRECISIONS)}.",
            )

    @property
    def exact(self) -> bool:
        """Whether the outputs differ from the plain network's by rounding only."""
        return self.precision == "fp32" and not self.compile


def optimise(module: nn.Module) -> nn.Module:
    """The module, prepared for inference in place by exact steps; it cannot be trained afterwards."""
    module.eval().requires_grad_(False)
    fold_batch_norm(module)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
    cache = getattr(module, "cache_constants", None)
    if cache is not None:
        cache()
    return module


def fold_batch_norm(module: nn.Module) -> None:
    """Fold every batch norm that follows a convolution or linear layer into that layer, in place.

    Pairs are neighbours in a Sequential, or siblings named `conv<k>` and `bn<k>`.  A module with a method
    `fold_batch_norm` folds its own.
    """
    for part in list(module.modules()):
        own = getattr(part, "fold_batch_norm", None)
        if own is not None:
            own()
            continue
        children = dict(part.named_children())
        names = list(children)
        if isinstance(part, nn.Sequential):
            pairs = list(itertools.pairwise(names))
        else:
            pairs = [(n, f"bn{n[4:]}") for n in names if n.startswith("conv") and f"bn{n[4:]}" in children]
        for layer, norm in pairs:
            found = children[layer], children[norm]
            kinds = ((nn.Conv2d, nn.BatchNorm2d), (nn.Linear, nn.BatchNorm1d))
            if any(isinstance(found[0], before) and isinstance(found[1], after) for before, after in kinds):
                _fold(*found)
                part.add_module(norm, nn.Identity())


def _fold(layer: Any, norm: Any) -> None:
    # in float64, so that only the folded weight is rounded
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = torch.zeros_like(scale) if layer.bias is None else layer.bias.double()
    folded = layer.weight.double() * scale.reshape(-1, *[1] * (layer.weight.dim() - 1))
    layer.weight = nn.Parameter(folded.to(layer.weight), requires_grad=False)
    shift = (bias - norm.running_mean.double()) * scale + norm.bias.double()
    layer.bias = nn.Parameter(shift.to(layer.weight), requires_grad=False)


class Engine:
    """A callable network: inputs (N, ...) of any N -> the outputs of `run`, float32, concatenated over batches."""

    def __init__(
        self,
        module: nn.Module,
        run: Callable[[nn.Module, Tensor], dict[str, Tensor]],
        options: EngineOptions,
        example: Tensor,
    ) -> None:
        """run: module and one batch -> named tensors (N, ...).  example: inputs (n, ...) that `error_mm` is measured
        on, in the output `vertices` (m)."""
        self.options = options
        self.device = example.device
        self.module = optimise(module)
        self._run = run
        self._call: nn.Module = self.module
        self.error_mm = 0.0  # largest distance between points with the options and exact ones, on the example
        dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
        packs = can_pack(self.device, dtype) and not options.compile
        if options.exact:
            if packs:
                pack(self.module)
            return
        with torch.inference_mode():
            exact = self._run(self.module, example)["vertices"].float()
        if options.precision == "bf16":
            to_bf16(self.module)
        if packs:
            pack(self.module)
        if options.compile:
            self._call = torch.compile(self.module, dynamic=False)  # type: ignore[assignment]
        self.error_mm = float((self(example)["vertices"] - exact).norm(dim=-1).max()) * 1000

    @property
    def memory(self) -> int:
        """Bytes of weights and constants."""
        tensors = [*self.module.parameters(), *self.module.buffers()]
        return packed_memory(self.module) + sum(
            t.element_size() * (t._nnz() if t.is_sparse_csr else t.numel()) for t in tensors
        )

    @torch.inference_mode()
    def __call__(self, inputs: Tensor) -> dict[str, Tensor]:
        size = self.options.batch
        pieces = []
        for start in range(0, len(inputs), size):
            batch = inputs[start : start + size].to(self.device)
            count = len(batch)
            if self.options.compile and count not in (1, size):  # each new shape would be compiled again
                batch = torch.cat([batch, batch[-1:].expand(size - count, *batch.shape[1:])])
            if batch.dim() == 4:
                batch = batch.contiguous(memory_format=torch.channels_last)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bf16"):
                out = self._run(self._call, batch)
            pieces.append({name: value[:count].float() for name, value in out.items()})
        return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}


def to_bf16(module: nn.Module) -> None:
    """Convert the weights of convolutions and linear layers to bf16, in place; run the module under autocast.

    Norms and layers whose outputs are coordinates stay in float32.
    """
    for name, part in module.named_modules():
        leaf = name.rpartition(".")[2]
        if leaf in _PRECISE or getattr(part, "precise", False):
            for inner in part.modules():
                if isinstance(inner, nn.Linear):
                    inner.forward = types.MethodType(_precise_linear, inner)  # type: ignore[method-assign]
                    inner.precise = True  # type: ignore[assignment]
    for part in module.modules():
        if hasattr(part, "precise"):
            continue
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.to(torch.bfloat16)
        for key in ("in_proj_weight", "in_proj_bias"):
            value = part._parameters.get(key)
            if value is not None:
                value.data = value.data.to(torch.bfloat16)


def _precise_linear(self: nn.Linear, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return nn.functional.linear(x.float(), self.weight, self.bias)
