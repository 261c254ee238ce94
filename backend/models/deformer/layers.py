"""DeFormer's layers: the neck after the backbone, and the decoder block that refines the mesh."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models.deformer.deformable_attention import DeformableAttention, Shapes
from backend.models.deformer.sparse_attention import sparse_attention
from backend.models.deformer.sparse_pattern import AttentionPattern

_GROUPS = 32
_MARGIN = 0.25  # largest distance of a reference point from the image, in image sizes; our choice


class PreciseLinear(nn.Linear):
    """A linear layer in float32, also under autocast and in the engine's bf16 mode: its outputs are coordinates."""

    precise = True

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return functional.linear(x.to(self.weight.dtype), self.weight, self.bias)


class Neck(nn.Module):
    """Projects the backbone's maps and the mean of the last one to `width` channels, as one sequence of pixels.

    Zhu et al. 2021 (Deformable DETR), section 4.1: 1x1 convolution, group norm, and a learned vector per level.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        # the tests' narrow networks
        groups = _GROUPS if width % _GROUPS == 0 else 1
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, width, 1), nn.GroupNorm(groups, width)) for c in channels
        )
        self.overall = nn.Linear(channels[-1], width)
        self.level_vectors = nn.Parameter(torch.empty(len(channels) + 1, width))
        nn.init.normal_(self.level_vectors)
        for level in self.levels:
            assert isinstance(level, nn.Sequential)
            nn.init.xavier_uniform_(level[0].weight)  # type: ignore[arg-type]
            nn.init.zeros_(level[0].bias)  # type: ignore[arg-type]

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Four maps (N, C, H, W) -> pixels (N, S, D), S = sum of H W + 1, and the image feature (N, D)."""
        overall = self.overall(maps[-1].mean((2, 3)))
        rows = [level(x).flatten(2).transpose(1, 2) for level, x in zip(self.levels, maps, strict=True)]
        rows.append(overall[:, None])
        pixels = torch.cat([x + v for x, v in zip(rows, self.level_vectors, strict=True)], 1)
        return pixels, overall


class MeshSelfAttention(nn.Module):
    """Multi-head attention among joints and vertices, masked by the mesh ("body sparse self-attention")."""

    def __init__(self, width: int, heads: int, dropout: float, backend: str) -> None:
        super().__init__()
        self.heads, self.dropout, self.backend = heads, dropout, backend
        self.query_key = nn.Linear(width, 2 * width)
        self.value = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        for layer in (self.query_key, self.value, self.out_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, with_positions: Tensor, tokens: Tensor, pattern: AttentionPattern) -> Tensor:
        """with_positions (N, T, D): tokens plus positions, for queries and keys; tokens (N, T, D): for values ->
        (N, T, D)."""
        q, k = self.query_key(with_positions).chunk(2, -1)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, self.value(tokens)))
        dropout = self.dropout if self.training else 0.0
        out = sparse_attention(q, k, v, pattern, self.backend, dropout)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Decoder block: masked self-attention, deformable cross-attention, feed-forward part, and an update of the mesh.

    Pre-norm.  The update is Psi(Phi(X) (+) tokens) of the author's talk; the last layer of Psi starts at zero, so that
    an untrained network predicts the template.
    """

    def __init__(
        self,
        width: int,
        map_width: int,
        shapes: Shapes,
        heads: int,
        feedforward: int,
        points: int,
        dropout: float,
        attention: str,
        sampling: str,
    ) -> None:
        super().__init__()
        self.place = nn.Sequential(PreciseLinear(3, width), nn.ReLU(), nn.Linear(width, width))
        self.norm1 = nn.LayerNorm(width)
        self.attend_mesh = MeshSelfAttention(width, heads, dropout, attention)
        self.norm2 = nn.LayerNorm(width)
        self.attend_image = DeformableAttention(width, map_width, shapes, heads, points, sampling)
        self.norm3 = nn.LayerNorm(width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward), nn.ReLU(), nn.Dropout(dropout), nn.Linear(feedforward, width)
        )
        self.norm4 = nn.LayerNorm(width)
        last = PreciseLinear(width, 3)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.refine = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), last)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, tokens: Tensor, coordinates: Tensor, points: Tensor, pixels: Tensor, pattern: AttentionPattern
    ) -> tuple[Tensor, Tensor]:
        """tokens (N, T, D), coordinates X (N, T, 3), points (N, T, 2): X in the image, [0, 1], pixels (N, S, C) ->
        tokens (N, T, D) and the update dX (N, T, 3)."""
        points = points.detach().clamp(-_MARGIN, 1 + _MARGIN)
        positions = self.place(coordinates)
        normed = self.norm1(tokens)
        tokens = tokens + self.dropout(self.attend_mesh(normed + positions, normed, pattern))
        tokens = tokens + self.dropout(self.attend_image(self.norm2(tokens) + positions, points, pixels))
        tokens = tokens + self.dropout(self.feedforward(self.norm3(tokens)))
        return tokens, self.refine(torch.cat([positions, self.norm4(tokens)], -1))
