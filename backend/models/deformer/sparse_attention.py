"""Attention masked by an `AttentionPattern`: one function, several backends with equal results."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from backend.errors import BadInput
from backend.models.deformer.sparse_pattern import AttentionPattern

BACKENDS = ("math", "sdpa", "tiles", "flex")
_SMALL = 512  # tokens up to which one dense masked attention is the fastest, see `benchmarks.attention`


def sparse_attention(
    q: Tensor, k: Tensor, v: Tensor, pattern: AttentionPattern, backend: str = "auto", dropout_p: float = 0.0
) -> Tensor:
    """softmax(q k' / sqrt(D)) v over the allowed pairs, (N, heads, T, D).  q, k, v (N, heads, T, D).

    backend: `math`, the explicit matrix, which defines the result; `sdpa`, PyTorch's fused kernel with a mask;
    `tiles`, a dense attention per patch of the mesh: time and memory grow with T instead of T^2; `flex`,
    FlexAttention, on CUDA, or on the CPU without gradients; `auto`: `sdpa` up to 512 tokens, `tiles` above
    (`python -m benchmarks.attention` measures them).  dropout_p: of the attention weights.

    Raises BadInput `attention_backend` for a backend that is unknown or cannot run on these tensors, ValueError where
    the pattern has another size.
    """
    if q.shape[-2] != pattern.tokens or k.shape[-2] != pattern.tokens:
        raise ValueError(f"The pattern is for {pattern.tokens} tokens, not for {q.shape[-2]}.")
    if backend == "auto":
        backend = "sdpa" if pattern.tokens <= _SMALL else "tiles"
    if backend == "flex":
        reason = flex_unusable(q, k, v, dropout_p)
        if reason:
            raise BadInput(
                "attention_backend", f"FlexAttention cannot run here: {reason}.", "Choose the backend `auto`."
            )
        return _flex(q, k, v, pattern)
    if backend == "sdpa":
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=pattern.allowed(), dropout_p=dropout_p)
    if backend == "tiles":
        return _tiles(q, k, v, pattern, dropout_p)
    if backend == "math":
        return _math(q, k, v, pattern, dropout_p)
    raise BadInput(
        "attention_backend",
        f"There is no attention backend {backend!r}.",
        f"Choose one of: auto, {', '.join(BACKENDS)}.",
    )


def flex_unusable(q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0) -> str:
    """The reason why FlexAttention cannot run on these tensors; empty where it can."""
    if dropout_p:
        return "it has no dropout"
    if q.device.type == "cuda":
        return ""
    if q.device.type != "cpu":
        return f"it does not support the device {q.device.type}"
    if torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v)):
        return "it has no gradients on the CPU"
    return ""


def _math(q: Tensor, k: Tensor, v: Tensor, pattern: AttentionPattern, dropout_p: float) -> Tensor:
    scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
    weights = scores.masked_fill(~pattern.allowed(), float("-inf")).softmax(-1)
    return functional.dropout(weights, dropout_p).to(v.dtype) @ v


def _tiles(q: Tensor, k: Tensor, v: Tensor, pattern: AttentionPattern, dropout_p: float) -> Tensor:
    count, heads, _, width = q.shape
    dense = pattern.dense
    # rows of the dense tokens are unmasked
    top = functional.scaled_dot_product_attention(q[:, :, :dense], k, v, dropout_p=dropout_p)

    def gather(x: Tensor, tokens: Tensor) -> Tensor:
        # heads of a token are contiguous, so that each gathered row is one copy
        rows = x.transpose(1, 2).reshape(count, pattern.tokens, heads * width)
        tiles = rows.index_select(1, tokens.flatten())
        return tiles.view(count * len(tokens), -1, heads, width).transpose(1, 2)

    queries, keys = pattern.tile_queries, pattern.tile_keys
    mask = pattern.tile_mask[None, :, None].expand(count, -1, -1, -1, -1).flatten(0, 1)
    out = functional.scaled_dot_product_attention(
        gather(q, queries), gather(k, keys), gather(v, keys), attn_mask=mask, dropout_p=dropout_p
    )
    rows = out.transpose(1, 2).reshape(count, -1, heads, width)
    return torch.cat([top, rows.index_select(1, pattern.position).transpose(1, 2)], 2)


def _flex(q: Tensor, k: Tensor, v: Tensor, pattern: AttentionPattern) -> Tensor:
    attend, mask = _flex_mask(pattern, q.device)
    # FlexAttention skips only whole blocks, so neighbours must be adjacent in the order
    q, k, v = (x.index_select(2, pattern.order) for x in (q, k, v))
    return attend(q, k, v, block_mask=mask).index_select(2, torch.argsort(pattern.order))


@functools.cache
def _flex_kernel(device: str) -> Callable[..., Tensor]:
    from torch.nn.attention import flex_attention

    attend: Any = flex_attention.flex_attention
    # uncompiled it computes the full matrix; for the CPU, compiling needs a C++ compiler
    return torch.compile(attend, dynamic=False) if device == "cuda" else attend


def _flex_mask(pattern: AttentionPattern, device: torch.device) -> tuple[Callable[..., Tensor], Any]:
    from torch.nn.attention.flex_attention import create_block_mask

    cached = getattr(pattern, "_flex", None)
    if cached is None or cached[0] != device:
        with torch.inference_mode(False):
            allowed = pattern.allowed()[pattern.order][:, pattern.order]

            def look_up(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
                return allowed[query, key]

            size = pattern.tokens
            mask = create_block_mask(look_up, None, None, size, size, device=str(device))
        cached = (device, mask)
        pattern._flex = cached  # type: ignore[assignment]
    return _flex_kernel(device.type), cached[1]
