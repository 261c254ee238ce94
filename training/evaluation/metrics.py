"""Metrics of joints and meshes, in millimetres, accumulated over samples and processes.

MPJPE: mean per-joint position error (Ionescu et al., PAMI 2014).  PA-MPJPE: MPJPE after Procrustes alignment of each
sample.  MPVPE: MPJPE over vertices.  F-score of two point sets: Knapitsch et al., "Tanks and Temples", 2017, as in
FreiHAND.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from backend.body.procrustes import procrustes_align

# How samples without labels enter PA-MPJPE, which the originals compute for all samples:
# `valid`: not at all; `metro`: in the batch's mean, weighted by the number of labelled samples (FastMETRO);
# `smpler`: in the sum, divided by the number of labelled samples
Unlabelled = Literal["valid", "metro", "smpler"]


def distances(pred: Tensor, gt: Tensor) -> Tensor:
    """Mean distance (N,) of points (N, K, 3), in their unit."""
    return (pred - gt).norm(dim=-1).mean(-1)


def acceleration_error(pred: Tensor, gt: Tensor) -> Tensor:
    """Mean distance (T - 2,) of the second differences of joints (T, K, 3), in their unit per frame squared."""
    gap = pred - gt
    return (gap[2:] - 2 * gap[1:-1] + gap[:-2]).norm(dim=-1).mean(-1)


class SampleMean(Metric):
    """A mean over the samples of all processes, independent of how these are sharded; NaN without samples.

    protocol: description for reports.  per_batch: mean of the batches' means, in which samples of a smaller last batch
    weigh more (Pose2Mesh).
    """

    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, protocol: str = "", per_batch: bool = False) -> None:
        super().__init__()
        self.protocol, self.per_batch = protocol, per_batch
        for name in ("total", "count"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def add(self, values: Tensor, count: Tensor | int | None = None) -> None:
        """values (N,): summed.  count: what the sum is divided by (None: N)."""
        number = values.new_tensor(len(values)) if count is None else torch.as_tensor(count)
        if number == 0:
            return
        total = values.double().sum()
        if self.per_batch:
            total, number = total / number, torch.ones_like(number)
        self.total += total
        self.count += number.double()

    def compute(self) -> Tensor:
        return self.total / self.count

    def __str__(self) -> str:
        return f"{type(self).__name__}: {self.protocol}"


class MPJPE(SampleMean):
    """Joints (N, K, 3) m, both relative to the same origin -> mm."""

    def update(self, pred: Tensor, gt: Tensor, valid: Tensor | None = None) -> None:
        if valid is not None:
            pred, gt = pred[valid.bool()], gt[valid.bool()]
        self.add(1000 * distances(pred.double(), gt.double()))


class MPVPE(MPJPE):
    """Vertices (N, V, 3) m, both relative to the same origin -> mm."""


class PAMPJPE(SampleMean):
    """Joints or vertices (N, K, 3) m -> mm after Procrustes alignment.  unlabelled: see `Unlabelled`."""

    def __init__(self, protocol: str = "", per_batch: bool = False, unlabelled: Unlabelled = "valid") -> None:
        super().__init__(protocol, per_batch)
        self.unlabelled = unlabelled

    def update(self, pred: Tensor, gt: Tensor, valid: Tensor | None = None) -> None:
        if valid is not None and self.unlabelled == "valid":
            pred, gt, valid = pred[valid.bool()], gt[valid.bool()], None
        if not len(pred):
            return
        errors = 1000 * distances(procrustes_align(pred, gt), gt.double())
        if valid is None:
            return self.add(errors)
        labelled = valid.bool().sum()
        if self.unlabelled == "metro":
            errors = errors.mean() * labelled
        self.add(errors.reshape(-1), labelled)


class FScore(SampleMean):
    """Vertices (N, V, 3) m -> F-score 0..1 within `threshold` m, after Procrustes alignment (FreiHAND)."""

    higher_is_better = True

    def __init__(self, protocol: str = "", threshold: float = 0.005) -> None:
        super().__init__(protocol)
        self.threshold = threshold

    def update(self, pred: Tensor, gt: Tensor, valid: Tensor | None = None) -> None:
        if valid is not None:
            pred, gt = pred[valid.bool()], gt[valid.bool()]
        gaps = torch.cdist(procrustes_align(pred, gt), gt.double())
        precision = (gaps.amin(2) <= self.threshold).double().mean(1)
        recall = (gaps.amin(1) <= self.threshold).double().mean(1)
        self.add(2 * precision * recall / (precision + recall).clamp(min=1e-12))
