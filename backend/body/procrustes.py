"""Points laid over others by the best similarity transform (Procrustes), and the error that remains, PA-MPJPE."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def aligned(found: Tensor, true: Tensor) -> Tensor:
    """(N, K, 3) each -> `found` after the similarity transform that brings it nearest to `true`, float64.

    Rotation, translation and scale per sample, without reflections.
    """
    found, true = found.double(), true.double()
    middle, to = found.mean(1, keepdim=True), true.mean(1, keepdim=True)
    a, b = found - middle, true - to
    u, s, vh = torch.linalg.svd(a.transpose(1, 2) @ b)
    sign = torch.ones_like(s)
    sign[:, 2] = torch.sign(torch.linalg.det(u @ vh))
    turn = (u * sign[:, None]) @ vh
    scale = (s * sign).sum(1) / a.square().sum((1, 2)).clamp(min=1e-30)
    return scale[:, None, None] * (a @ turn) + to


def pa_mpjpe(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(N, K, 3) m each -> (N,) mm: mean per-joint position error of each sample after its alignment."""
    a, b = torch.as_tensor(found).double(), torch.as_tensor(true).double()
    return 1e3 * (aligned(a, b) - b).norm(dim=-1).mean(-1).numpy()
