"""The terms that several families share.  Lengths in the unit of the input; every answer is one number."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional

from backend.body.joint_sets import J14_HIPS


def hip_relative(joints: Tensor) -> Tensor:
    """(N, 14, C) -> the same with the middle of the hips at the origin; of C, the first three are coordinates."""
    middle = joints[:, list(J14_HIPS), :3].mean(1, keepdim=True)
    return torch.cat([joints[..., :3] - middle, joints[..., 3:]], -1)


def joint_relative(joints: Tensor, index: int) -> Tensor:
    """(N, K, C) -> the same with one joint at the origin."""
    return torch.cat([joints[..., :3] - joints[:, [index], :3], joints[..., 3:]], -1)


def masked_mean(mask: Tensor | None, term: Callable[..., Tensor], pred: Tensor, *others: Tensor) -> Tensor:
    """`term` of the samples that the mask chooses; 0, with a gradient of zeros, where none is.

    mask: (N,) bool, None for all.  Samples that are not chosen may hold anything, even values that are no numbers.
    """
    if mask is None:
        return term(pred, *others)
    mask = mask.bool()
    if not bool(mask.any()):
        return pred[:0].sum()  # keeps the graph, so that DDP finds every parameter
    return term(pred[mask], *(other[mask] for other in others))


def total(parts: Iterable[Tensor]) -> Tensor:
    """The sum of one or more numbers."""
    first, *others = parts
    return sum(others, first)


def l1(pred: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference."""
    return (pred - target).abs().mean()


def l2(pred: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference."""
    return (pred - target).square().mean()


def weighted_l1(pred: Tensor, target: Tensor) -> Tensor:
    """pred (N, K, D), target (N, K, D + 1), its last column the weights: the mean counts zeros, too."""
    return (target[..., -1:] * (pred - target[..., :-1]).abs()).mean()


def weighted_l2(pred: Tensor, target: Tensor) -> Tensor:
    """As `weighted_l1`, squared."""
    return (target[..., -1:] * (pred - target[..., :-1]).square()).mean()


def edge_lengths(vertices: Tensor, edges: Tensor, eps: float = 0.0) -> Tensor:
    """vertices (N, V, 3), edges (E, 2) -> (N, E).  eps: under the root; without one, the gradient of an edge of no
    length is no number."""
    difference = vertices[:, edges[:, 0]] - vertices[:, edges[:, 1]]
    return (difference.square().sum(-1) + eps).sqrt()


def edge_error(pred: Tensor, target: Tensor, edges: Tensor, eps: float = 0.0) -> Tensor:
    """Mean absolute difference of edge lengths."""
    return (edge_lengths(pred, edges, eps) - edge_lengths(target, edges, eps)).abs().mean()


def normal_error(pred: Tensor, target: Tensor, faces: Tensor) -> Tensor:
    """Mean |cos| between the three predicted edges of a face and the face's true normal."""
    a, b, c = faces.unbind(1)

    def direction(points: Tensor, start: Tensor, end: Tensor) -> Tensor:
        return functional.normalize(points[:, end] - points[:, start], dim=-1)

    normal = torch.linalg.cross(direction(target, a, b), direction(target, a, c), dim=-1)
    normal = functional.normalize(normal, dim=-1)
    edges = torch.stack([direction(pred, *ends) for ends in ((a, b), (a, c), (b, c))])
    return (edges * normal).sum(-1).abs().mean()


def laplacian_error(pred: Tensor, target: Tensor, neighbours: Tensor) -> Tensor:
    """Mean absolute difference of what each vertex stands out from the middle of its neighbours.

    neighbours: (V, V) sparse, rows of neighbours' weights that sum to 1.
    """
    difference = pred - target
    columns = difference.transpose(0, 1).flatten(1)
    middle = (neighbours @ columns).unflatten(1, difference.shape[::2]).transpose(0, 1)
    return (difference - middle).abs().mean()
