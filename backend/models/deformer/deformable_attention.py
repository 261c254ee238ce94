"""Multi-scale deformable attention: each query attends to a few learned sampling points around its reference point.

Zhu et al., "Deformable DETR: Deformable Transformers for End-to-End Object Detection", ICLR 2021, section 4.1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.errors import BadInput

BACKENDS = ("bag", "grid_sample")
Shapes = tuple[tuple[int, int], ...]  # (H, W) of each map


class DeformableAttention(nn.Module):
    """Attention to maps of `shapes`, flattened row by row and concatenated, at `heads * levels * points` samples.

    Offsets are in pixels of their level, x first.  Locations and weights stay float32 under autocast: bf16 would move a
    sample on a 64 px map by a quarter of a pixel.
    """

    extent: Tensor

    def __init__(
        self,
        width: int,
        map_width: int,
        shapes: Shapes,
        heads: int = 8,
        points: int = 4,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.shapes, self.heads, self.points, self.backend = shapes, heads, points, backend
        num_samples = heads * len(shapes) * points
        self.sampling_offsets = nn.Linear(width, 2 * num_samples)
        self.attention_weights = nn.Linear(width, num_samples)
        self.value_proj = nn.Linear(map_width, width)
        self.output_proj = nn.Linear(width, width)
        extent = torch.tensor([[w, h] for h, w in shapes], dtype=torch.float32)
        self.register_buffer("extent", extent[:, None], persistent=False)
        # the engine keeps these two in float32
        self.sampling_offsets.precise = self.attention_weights.precise = True  # type: ignore[assignment]
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reset to Deformable DETR's initial state: one direction per head, point k at k + 1 pixels, equal weights."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], -1)
        direction = direction / direction.abs().amax(-1, keepdim=True)  # on the square of radius 1
        steps = torch.arange(1, self.points + 1)
        bias = direction[:, None, None] * steps[:, None]  # (heads, 1, points, 2)
        bias = bias.expand(-1, len(self.shapes), -1, -1)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(bias.flatten())
        for weights in (self.sampling_offsets.weight, *self.attention_weights.parameters()):
            nn.init.zeros_(weights)
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, query: Tensor, points: Tensor, maps: Tensor) -> Tensor:
        """query (N, Q, D), points (N, Q, 2) in [0, 1], (0, 0) the image's top left corner, maps (N, S, C) ->
        (N, Q, D)."""
        values = self.value_proj(maps).unflatten(-1, (self.heads, -1))
        levels = (self.heads, len(self.shapes), self.points)
        with torch.autocast(query.device.type, enabled=False):
            precise = query.to(self.sampling_offsets.weight.dtype)
            offsets = self.sampling_offsets(precise).unflatten(-1, (*levels, 2))
            weights = self.attention_weights(precise).unflatten(-1, (self.heads, -1)).softmax(-1)
            locations = points[:, :, None, None, None] + offsets / self.extent
            weights = weights.unflatten(-1, levels[1:])
            out = sample_maps(values, self.shapes, locations, weights, self.backend)
        return self.output_proj(out.to(query.dtype))


def sample_maps(values: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor, backend: str = "auto") -> Tensor:
    """Weighted sums of bilinear samples, (N, Q, heads D), float32 or better.

    values (N, S, heads, D): maps of `shapes`, S = sum of H W; locations (N, Q, heads, levels, points, 2), x and y in
    [0, 1] of the image; weights (N, Q, heads, levels, points).

    Maps are zero outside, as in the paper; a 1 x 1 map, the mean over the image, is constant everywhere.  backend:
    `bag`, one embedding_bag over all levels; `grid_sample`, one call per level; `auto`: `bag` on the CPU without
    gradients, where it is up to twice as fast (its backward is half as fast), else `grid_sample`.
    Raises BadInput `sampling_backend`.
    """
    kind = torch.promote_types(values.dtype, torch.float32)
    values, locations, weights = (x.to(kind) for x in (values, locations, weights))
    if backend == "auto":
        trains = torch.is_grad_enabled() and any(x.requires_grad for x in (values, locations, weights))
        backend = "bag" if values.device.type == "cpu" and not trains else "grid_sample"
    if backend not in BACKENDS:
        raise BadInput(
            "sampling_backend",
            f"There is no sampling backend {backend!r}.",
            f"Choose one of: auto, {', '.join(BACKENDS)}.",
        )
    starts = [sum(h * w for h, w in shapes[:k]) for k in range(len(shapes))]
    grids = [k for k, shape in enumerate(shapes) if shape != (1, 1)]
    out: Tensor | float = 0.0
    if grids:
        sample = _bag if backend == "bag" else _grid_sample
        out = sample(values, [(shapes[k], starts[k], k) for k in grids], locations, weights)
    for k, shape in enumerate(shapes):
        if shape == (1, 1):
            out = out + weights[..., k, :].sum(-1, keepdim=True) * values[:, starts[k], None]
    assert isinstance(out, Tensor)
    return out.flatten(2)


_Levels = list[tuple[tuple[int, int], int, int]]  # (H, W), first row in `values`, index in `locations`


def _bag(values: Tensor, levels: _Levels, locations: Tensor, weights: Tensor) -> Tensor:
    count, rows, heads, width = values.shape
    queries = locations.shape[1]
    table = values.transpose(1, 2).reshape(-1, width)
    device = values.device
    # first row of each (sample, head) in the table
    own = torch.arange(count, device=device)[:, None, None] * heads + torch.arange(heads, device=device)
    own = (own * rows)[..., None]  # (N, 1, heads, 1)
    indices, shares = [], []
    for (height, wide), start, k in levels:
        # zero from one pixel outside on; the clamp keeps far locations from overflowing the integers
        x = (locations[..., k, :, 0] * wide - 0.5).clamp(-2, wide + 1)
        y = (locations[..., k, :, 1] * height - 0.5).clamp(-2, height + 1)
        left, top = x.detach().floor(), y.detach().floor()
        weight = weights[..., k, :]
        for column, along in ((left, 1 - (x - left)), (left + 1, x - left)):
            for row, across in ((top, 1 - (y - top)), (top + 1, y - top)):
                inside = (column >= 0) & (column < wide) & (row >= 0) & (row < height)
                pixel = row.clamp(0, height - 1) * wide + column.clamp(0, wide - 1)
                indices.append(own + (start + pixel.long()))
                shares.append(weight * along * across * inside)
    index = torch.cat(indices, -1).view(count * queries * heads, -1)
    share = torch.cat(shares, -1).view(count * queries * heads, -1)
    if len(table) < 2**31:
        index = index.int()
    out = functional.embedding_bag(index, table, mode="sum", per_sample_weights=share)
    return out.view(count, queries, heads, width)


def _grid_sample(values: Tensor, levels: _Levels, locations: Tensor, weights: Tensor) -> Tensor:
    count, _, heads, width = values.shape
    out: Tensor | None = None
    for (height, wide), start, k in levels:
        grid = (2 * locations[..., k, :, :] - 1).transpose(1, 2).flatten(0, 1)  # (N heads, Q, points, 2)
        feature_map = values[:, start : start + height * wide].permute(0, 2, 3, 1)
        feature_map = feature_map.reshape(count * heads, width, height, wide)
        samples = functional.grid_sample(feature_map, grid, align_corners=False)  # (N heads, D, Q, points)
        level = (samples * weights[..., k, :].transpose(1, 2).flatten(0, 1)[:, None]).sum(-1)
        out = level if out is None else out + level
    assert out is not None
    return out.view(count, heads, width, -1).permute(0, 3, 1, 2)
