"""What the modules share: measures by protocol after every epoch, and rates that fall in steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import LRSchedulerConfigType
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from backend.errors import BadInput
from training.evaluation.protocols import PROTOCOLS, Evaluator


class EvaluationModule(LightningModule):
    """One `Evaluator` per validation set, in their order; logs `PROTOCOL/MEASURE` in mm."""

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
        self.evaluators = nn.ModuleList(Evaluator(PROTOCOLS[name], upstream_quirks) for name in protocols)

    def full_precision(self) -> torch.autocast:
        """Float32 inside, whatever the run's precision: bodies, losses and metrics are measured in millimetres."""
        return torch.autocast(self.device.type, enabled=False)

    def evaluator(self, loader: int) -> Evaluator:
        evaluator = self.evaluators[loader]
        assert isinstance(evaluator, Evaluator)
        return evaluator

    def on_validation_epoch_end(self) -> None:
        for k, name in enumerate(self.protocols):
            values: dict[str, Tensor] = self.evaluator(k).compute()
            # what no sample was labelled for is no number, and is not logged
            known = {f"{name}/{measure}": value.float() for measure, value in values.items() if value.isfinite()}
            self.log_dict(known, sync_dist=True)  # equal in all processes already
            self.evaluator(k).reset()

    def log_parts(self, parts: dict[str, Tensor]) -> Tensor:
        """Log the loss and its weighted parts -> the loss."""
        self.log_dict({f"train/{name}": value.detach() for name, value in parts.items()})
        return parts["loss"]


def step_decay_schedule(
    optimizer: Optimizer, module: LightningModule, step: float, gamma: float, warmup: int = 0
) -> LRSchedulerConfigType:
    """The rates times gamma after every `step` epochs, counted in optimiser steps, and a linear start of `warmup`."""
    trainer = module.trainer
    epochs = max(1, trainer.max_epochs or 1)
    per_epoch = max(1, int(trainer.estimated_stepping_batches) // epochs)

    def factor(done: int) -> float:
        start = min(1.0, (done + 1) / warmup) if warmup else 1.0
        return start * gamma ** int(done // (per_epoch * step))

    return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}


def in_float32(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Losses are measured in millimetres: never in bfloat16."""
    return {name: value.float() if value.is_floating_point() else value for name, value in values.items()}
