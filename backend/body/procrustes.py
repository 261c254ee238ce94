"""Procrustes alignment by the best similarity transform (Gower 1975), and PA-MPJPE."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def procrustes_align(pred: Tensor, gt: Tensor) -> Tensor:
    """(N, K, 3) each -> `pred` aligned to `gt` in least squares, float64: rotation, translation, scale per sample.

    Reflections are excluded.
    """
    pred, gt = pred.double(), gt.double()
    pred_mean, gt_mean = pred.mean(1, keepdim=True), gt.mean(1, keepdim=True)
    a, b = pred - pred_mean, gt - gt_mean
    u, s, vh = torch.linalg.svd(a.transpose(1, 2) @ b)
    sign = torch.ones_like(s)
    sign[:, 2] = torch.sign(torch.linalg.det(u @ vh))
    rotation = (u * sign[:, None]) @ vh
    scale = (s * sign).sum(1) / a.square().sum((1, 2)).clamp(min=1e-30)
    return scale[:, None, None] * (a @ rotation) + gt_mean


def pa_mpjpe(pred: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """(N, K, 3) m each -> (N,) mm: mean per-joint position error of each sample after Procrustes alignment."""
    a, b = torch.as_tensor(pred).double(), torch.as_tensor(gt).double()
    return 1e3 * (procrustes_align(a, b) - b).norm(dim=-1).mean(-1).numpy()
