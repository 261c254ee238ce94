"""Shared by the modules: metrics by protocol after every epoch, float32 for losses, step decay of learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import LRSchedulerConfigType
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from backend.errors import BadInput
from training.evaluation.freihand_submission import FreiHANDSubmission
from training.evaluation.protocols import PROTOCOLS, Evaluator
from training.losses.mesh_targets import MeshTargets


class EvaluationModule(LightningModule):
    """A LightningModule with one `Evaluator` per validation set, in their order; logs `PROTOCOL/METRIC` in mm.

    Writes `submission` where only the benchmark's server has the ground truth.
    """

    def __init__(self, protocols: Sequence[str], upstream_quirks: bool) -> None:
        """Raises BadInput `unknown_protocol`."""
        super().__init__()
        for name in protocols:
            if name not in PROTOCOLS:
                raise BadInput(
                    "unknown_protocol",
                    f"There is no evaluation protocol {name!r}.",
                    f"Choose one of: {', '.join(PROTOCOLS)}.",
                )
        self.protocols = tuple(protocols)
        self.submission = FreiHANDSubmission()
        self.evaluators = nn.ModuleList(Evaluator(PROTOCOLS[name], upstream_quirks) for name in protocols)

    def full_precision(self) -> torch.autocast:
        """A context without autocast: bodies, losses and metrics need float32, since errors are millimetres."""
        return torch.autocast(self.device.type, enabled=False)

    def evaluator(self, loader: int) -> Evaluator:
        evaluator = self.evaluators[loader]
        assert isinstance(evaluator, Evaluator)
        return evaluator

    def update_metrics(self, loader: int, joints: Tensor, vertices: Tensor, targets: MeshTargets) -> None:
        """Adds predicted joints (N, K, 3) and vertices (N, V, 3) m, relative to the mesh's root, to the metrics."""
        gt_mesh = targets.meshes[vertices.shape[1]]
        self.evaluator(loader).update(joints, targets.joints3d, targets.has_3d, vertices, gt_mesh, targets.has_mesh)

    def on_validation_epoch_end(self) -> None:
        for k, name in enumerate(self.protocols):
            values: dict[str, Tensor] = self.evaluator(k).compute()
            # a metric without labelled samples is NaN, and is not logged
            finite = {f"{name}/{metric}": value.float() for metric, value in values.items() if value.isfinite()}
            self.log_dict(finite, sync_dist=True)  # equal in all processes already
            self.evaluator(k).reset()
        if not all(PROTOCOLS[name].has_public_gt for name in self.protocols):
            self.submission.finish(lambda: Path(self.trainer.default_root_dir) / "submission", self.global_rank == 0)

    def log_parts(self, parts: dict[str, Tensor]) -> Tensor:
        """Logs the loss and its weighted parts -> the loss."""
        self.log_dict({f"train/{name}": value.detach() for name, value in parts.items()})
        return parts["loss"]


def step_decay_schedule(
    optimizer: Optimizer, module: LightningModule, step: float, gamma: float, warmup: int = 0
) -> LRSchedulerConfigType:
    """Learning rates times gamma after every `step` epochs, with a linear warmup of `warmup` optimiser steps."""
    trainer = module.trainer
    epochs = max(1, trainer.max_epochs or 1)
    per_epoch = max(1, int(trainer.estimated_stepping_batches) // epochs)

    def factor(done: int) -> float:
        start = min(1.0, (done + 1) / warmup) if warmup else 1.0
        return start * gamma ** int(done // (per_epoch * step))

    return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}


def in_float32(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors with floats as float32: bfloat16 is too coarse for errors of millimetres."""
    return {name: value.float() if value.is_floating_point() else value for name, value in values.items()}
