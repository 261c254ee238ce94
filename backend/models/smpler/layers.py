"""SMPLer's attention: from tokens to feature maps (global, and local around the joints), then among tokens."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 128
RADIUS = 4  # of the window around a joint, in pixels of the finest map
_HEADS = 4
_JOINTS = 24
_TOKENS = _JOINTS + 2
_SCALES = 4
_UNITS = 2
_EPS = 1e-12


class Pyramid(NamedTuple):
    """Keys and values of the cross-attention."""

    maps: list[Tensor]  # four (N, P, 128), finest first
    window: Tensor  # (N, 24, 64, 128) around each joint
    offsets: Tensor  # (N, 24, 64, 2) see `joint_windows`


class TransformerBlock(nn.Module):
    """Two transformer units over a pyramid whose finest map is grid x grid, with position embeddings."""

    def __init__(self, grid: int, dropout: float) -> None:
        super().__init__()
        self.grid = grid
        self.feat_position_embedding = nn.Parameter(0.1 * torch.randn(1, WIDTH, grid, grid))
        self.early_embedding = nn.Linear(WIDTH, WIDTH)
        self.position_embeddings = nn.Embedding(_TOKENS, WIDTH)
        self.dropout = nn.Dropout(dropout)
        self.trans_units = nn.ModuleList(TransformerUnit(dropout) for _ in range(_UNITS))
        self.head = nn.Linear(WIDTH, WIDTH)
        self.residual = nn.Linear(WIDTH, WIDTH)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, query: Tensor, pyramid: Pyramid) -> Tensor:
        """query (N, 26, 128) -> the same, refined."""
        positions: Tensor = self.feat_position_embedding
        maps = []
        for k, tokens in enumerate(pyramid.maps):
            if k:
                positions = functional.avg_pool2d(positions, 2)
            maps.append(tokens + positions.flatten(2).transpose(1, 2))
        pyramid = pyramid._replace(maps=maps)
        x = self.dropout(self.early_embedding(query) + self.position_embeddings.weight)
        for unit in self.trans_units:
            x = unit(x, pyramid)
        return self.head(x) + self.residual(query)


class TransformerUnit(nn.Module):
    """Cross-attention to the maps, then self-attention among the tokens ("decoupled attention", section 3.2)."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.global_unit = GlobalUnit(dropout)
        self.local_unit = LocalUnit(dropout)
        self.self_trans_layer = nn.ModuleDict({"self_trans_layer": AttentionLayer(dropout)})

    def forward(self, x: Tensor, pyramid: Pyramid) -> Tensor:
        from_all = self.global_unit(x, pyramid.maps)
        from_window = self.local_unit(x[:, :_JOINTS], pyramid.window, pyramid.offsets)
        x = torch.cat([(from_all[:, :_JOINTS] + from_window) / 2, from_all[:, _JOINTS:]], 1)
        return self.self_trans_layer["self_trans_layer"](x)


class GlobalUnit(nn.Module):
    """Every token attends to every pixel of every scale; outputs are averaged over the scales."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.trans_layer_list = nn.ModuleList(
            nn.ModuleDict({"transformer_layer": AttentionLayer(dropout)}) for _ in range(_SCALES)
        )

    def forward(self, x: Tensor, maps: list[Tensor]) -> Tensor:
        outputs = [
            layer["transformer_layer"](x, features)  # type: ignore[index]
            for layer, features in zip(self.trans_layer_list, maps, strict=True)
        ]
        return torch.stack(outputs).mean(0)


class LocalUnit(nn.Module):
    """Each joint's token attends to the window around its joint, with a learned bias per relative position."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        size = 2 * RADIUS + 1
        self.relative_position_encoding_table = nn.ParameterList([torch.zeros(1, _HEADS, size, size)])
        self.trans_layer_list = nn.ModuleList([nn.ModuleDict({"transformer_layer": AttentionLayer(dropout)})])

    def forward(self, x: Tensor, window: Tensor, offsets: Tensor) -> Tensor:
        """x (N, 24, 128), window (N, 24, 64, 128), offsets (N, 24, 64, 2) -> (N, 24, 128)."""
        table = self.relative_position_encoding_table[0]
        grid = offsets.flatten(0, 1)[None].to(table.dtype)  # (1, N 24, 64, 2)
        bias = functional.grid_sample(table, grid, align_corners=True)[0]  # (heads, N 24, 64)
        layer = self.trans_layer_list[0]["transformer_layer"]  # type: ignore[index]
        out = layer(x.flatten(0, 1)[:, None], window.flatten(0, 1), bias.transpose(0, 1)[:, :, None])
        return out[:, 0].unflatten(0, x.shape[:2])


class Attention(nn.Module):
    """Projections to queries, keys and values; `AttentionLayer` computes the attention."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)


class AttentionLayer(nn.Module):
    """Pre-norm attention and feed-forward part.  Only the tokens are normalised, not the features."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.LayerNorm_attn = nn.LayerNorm(WIDTH, eps=_EPS)
        self.attention = Attention()
        self.linear_attn = nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(
            nn.LayerNorm(WIDTH, eps=_EPS),
            nn.Linear(WIDTH, 2 * WIDTH),
            nn.GELU(),
            nn.Linear(2 * WIDTH, WIDTH),
            nn.Dropout(dropout),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, features: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """x (N, T, 128), features (N, S, 128) or None for self-attention, bias (N, heads, T, S) of the scaled scores ->
        (N, T, 128)."""
        normed = self.LayerNorm_attn(x)
        source = normed if features is None else features
        parts = self.attention
        q, k, v = (
            layer(y).unflatten(-1, (_HEADS, -1)).transpose(1, 2)
            for layer, y in ((parts.query, normed), (parts.key, source), (parts.value, source))
        )
        dropout = self.dropout.p if self.training else 0.0
        attended = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=bias, dropout_p=dropout, scale=1 / math.sqrt(WIDTH / _HEADS)
        )
        x = x + self.dropout(self.linear_attn(attended.transpose(1, 2).flatten(2)))
        return x + self.mlp(x)
