"""Axis-angle and rotation matrices, in torch, differentiable everywhere."""

from __future__ import annotations

import torch
from torch.nn import functional


def skew(vector: torch.Tensor) -> torch.Tensor:
    """(..., 3) -> (..., 3, 3), the matrix of the cross product with `vector`."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vector.shape[:-1], 3, 3)


def matrix_from_axis_angle(axis_angle: torch.Tensor) -> torch.Tensor:
    """(..., 3) rad -> (..., 3, 3), by Rodrigues' formula.

    `sinc` and the clamped square root keep values and gradients finite at angle 0.
    """
    squared = axis_angle.square().sum(-1)
    angle = squared.clamp(min=1e-30).sqrt()[..., None, None]
    cross = skew(axis_angle)
    first = torch.sinc(angle / torch.pi)
    second = 0.5 * torch.sinc(angle / (2 * torch.pi)).square()
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + first * cross + second * (cross @ cross)


def axis_angle_from_matrix(matrix: torch.Tensor) -> torch.Tensor:
    """(..., 3, 3) -> (..., 3) rad, angle in [0, pi].

    By the quaternion's largest component, so that neither angle 0 nor pi divides by a small number.
    """
    m = matrix
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    # each row is the quaternion (w, x, y, z) times 4 of one of its components
    rows = torch.stack(
        [
            torch.stack([1 + xx + yy + zz, a, b, c], -1),
            torch.stack([a, 1 + xx - yy - zz, d, e], -1),
            torch.stack([b, d, 1 - xx + yy - zz, f], -1),
            torch.stack([c, e, f, 1 - xx - yy + zz], -1),
        ],
        -2,
    )
    largest = torch.diagonal(rows, dim1=-2, dim2=-1).argmax(-1)[..., None, None].expand(*m.shape[:-2], 1, 4)
    q = torch.gather(rows, -2, largest)[..., 0, :]
    q = q / q.norm(dim=-1, keepdim=True)
    q = torch.where(q[..., :1] < 0, -q, q)
    sine = q[..., 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, q[..., :1])
    return q[..., 1:] * torch.where(sine < 1e-9, torch.full_like(sine, 2.0), angle / sine.clamp(min=1e-9))


def matrix_from_6d(values: torch.Tensor) -> torch.Tensor:
    """(..., 6) -> (..., 3, 3): the values are the first two COLUMNS, row by row (first column = values 0, 2, 4).

    Zhou et al., "On the Continuity of Rotation Representations in Neural Networks", CVPR 2019, in the order that HMR's
    successors use.
    """
    first, second = values.unflatten(-1, (3, 2)).unbind(-1)
    x = functional.normalize(first, dim=-1, eps=1e-12)
    y = functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1, eps=1e-12)
    return torch.stack([x, y, torch.linalg.cross(x, y, dim=-1)], -1)
