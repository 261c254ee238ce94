"""Overfits a run's full network on one small batch: the cheapest proof that it can learn.

Network size, losses, optimiser with its ratios of learning rates, clipping and batch norm are the run's own.  What
differs is in the result: no augmentation, no dropout, random weights, float32, the learning rate, all losses from the
first step.  A backbone from MediaPipe keeps its weights: a frozen random one would not tell the samples apart.
Metrics are those of evaluation mode.  There batch norm uses the statistics of the batch itself: running means of a few
steps over two samples would be meaningless.
"""

from __future__ import annotations

import hashlib
import json
import math
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from backend.errors import BadInput
from training.engine.manifest import git_state, hardware, versions
from training.engine.one_batch import build_one_batch, disable_dropout, evaluate_batch
from training.engine.trainer import filter_lightning_warnings
from training.modules.evaluation_module import EvaluationModule
from training.run.spec import Run

SAMPLES = 2
# for PoseNet alone: its batch norm has one value per sample and feature, of which two samples would leave only the sign
_POSENET_SAMPLES = 8
WARMUP = 10  # steps of linear learning rate warmup
DECAY_FRACTION = 0.5  # share of the steps, at the end, in which the learning rate falls linearly to 0
# factors on the learning rates of a family's runs, found by trial so that few steps suffice.  The published rates are
# for large batches and trained backbones (and RMSprop's first steps are ten times as long as its later ones)
_LEARNING_RATE_FACTORS = {"fastmetro": 3.0, "deformer": 3.0, "smpler": 0.2, "pose2mesh": 0.3}
STOP = "stop"  # a file of this name in the folder ends the run after the current step, with all results


@dataclass(frozen=True)
class Overfit:
    """The result.  metrics_*: mm, of the batch in evaluation mode, before the first step and after the last one."""

    run: str
    network: str
    title: str
    body: str
    data: str
    stage: str
    parameters: int
    steps: int  # done
    planned: int  # length of the learning rate schedule
    samples: int
    rows: list[int]
    rates: list[float]
    warmup: int
    falling: float
    optimizer: str
    clip: float
    seed: int
    device: str
    first_loss: float
    last_loss: float
    metrics_before: dict[str, float]
    metrics_after: dict[str, float]
    batch_norm: str
    dropout: str
    seconds: float  # CPU time (on a GPU: wall time) of the steps alone
    wall_seconds: float
    peak_memory_gb: float
    log_sha256: str
    git: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        before, after = self.metrics_before, self.metrics_after
        numbers = ", ".join(f"{name} {before[name]:.1f} -> {after[name]:.2f} mm" for name in after)
        return "\n".join(
            [
                f"{self.run}: {self.network} on {self.samples} samples of {self.data}, {self.steps} steps of "
                f"{self.optimizer} at {self.rates[0]:g}, seed {self.seed}",
                f"  loss {self.first_loss:.4g} -> {self.last_loss:.4g}",
                f"  {numbers}",
                f"  {self.seconds:.0f} s of CPU time on {self.device}, {self.peak_memory_gb:.1f} GB",
                f"  batch norm: {self.batch_norm}; dropout: {self.dropout}; no augmentation",
            ]
        )


class _OverfitMonitor(Callback):
    """Sets the learning rates, records the losses, and logs one line per step."""

    def __init__(self, factor: float, steps: int, file: Path) -> None:
        self.factor, self.steps, self.file = factor, steps, file
        self.rates: list[float] = []
        self.losses: list[float] = []
        file.write_text("")

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        module.train()
        # the run's own schedule has already changed `lr`
        groups = trainer.optimizers[0].param_groups
        self.rates = [float(group.get("initial_lr", group["lr"])) * self.factor for group in groups]

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, index: int) -> None:
        share = learning_rate_factor(trainer.global_step, self.steps)
        for group, rate in zip(trainer.optimizers[0].param_groups, self.rates, strict=True):
            group["lr"] = rate * share  # overrides the run's own schedule

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        parts = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.losses.append(float(outputs["loss"]))
        rate = self.rates[0] * learning_rate_factor(len(self.losses) - 1, self.steps)
        if (self.file.parent / STOP).exists():
            trainer.should_stop = True
        line = {"step": len(self.losses), "rate": rate, "loss": self.losses[-1], **parts}
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")


def learning_rate_factor(step: int, steps: int) -> float:
    """The factor on the learning rate at `step` (from 0): linear warmup, constant, linear decay to 0."""
    left = (steps - step) / steps
    return min(1.0, (step + 1) / WARMUP, left / DECAY_FRACTION)


def overfit(run: Run, steps: int, out: Path, *, root: Path | None = None, factor: float | None = None) -> Overfit:
    """Overfits one batch of a run.  root: of the user's data; None: generated files and the open body, as `dry_run`.

    out: folder for `overfit.json` and `overfit.jsonl`; a file `stop` there ends the run after the current step.
    factor: on the run's learning rates; None: `default_learning_rate_factor`.
    The batch has 2 samples, for PoseNet alone 8.
    Raises BadInput as `fit` does, and `diverged` where a loss is NaN or infinite.
    """
    from training.engine.dry_run import with_generated_data

    out.mkdir(parents=True, exist_ok=True)
    samples = _POSENET_SAMPLES if run.settings.get("stage") == "posenet" else SAMPLES
    overfit_run = run if root is not None else with_generated_data(run, out / "files", batch=samples)
    overfit_run = replace(
        overfit_run,
        training=replace(overfit_run.training, precision="32"),
        settings=_all_losses_settings(overfit_run),
    )
    module, rows, batch = build_one_batch(overfit_run, root or out / "files", samples)
    return fit_one_batch(
        module, batch, steps, out, overfit_run, rows, factor, "generated files" if root is None else str(root)
    )


def fit_one_batch(
    module: EvaluationModule,
    batch: dict[str, Tensor],
    steps: int,
    out: Path,
    run: Run,
    rows: Sequence[int] = (),
    factor: float | None = None,
    data: str = "",
) -> Overfit:
    """Trains `module` on `batch` for `steps` steps.  Raises BadInput `diverged`."""
    accelerator = "gpu" if torch.cuda.is_available() else "cpu"
    filter_lightning_warnings()
    git = git_state()  # before the steps: the state of the code that runs
    clock = time.process_time if accelerator == "cpu" else time.perf_counter
    disable_dropout(module)
    before = evaluate_batch(module, batch)
    factor = default_learning_rate_factor(run) if factor is None else factor
    monitor = _OverfitMonitor(factor, steps, out / "overfit.jsonl")
    trainer = Trainer(
        accelerator=accelerator, devices=1, max_steps=steps, max_epochs=1, logger=False, callbacks=[monitor],
        gradient_clip_val=run.training.clip or None, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=out, num_sanity_val_steps=0, limit_val_batches=0,
    )  # fmt: skip
    began, wall = clock(), time.perf_counter()
    torch.manual_seed(run.seed)
    trainer.fit(module, DataLoader(cast(Dataset, [batch] * steps), batch_size=None))
    spent, wall = clock() - began, time.perf_counter() - wall
    if not monitor.losses or not all(map(math.isfinite, monitor.losses)):
        raise BadInput("diverged", f"A loss is NaN or infinite: {monitor.losses[-3:]}.", "Lower the learning rate.")
    model = module.model
    assert isinstance(model, nn.Module)
    result = Overfit(
        run=run.name,
        network=run.network,
        title=run.title,
        body=run.body,
        data=data,
        stage=str(run.settings.get("stage", "")),
        parameters=sum(p.numel() for p in model.parameters()),
        steps=len(monitor.losses),
        planned=steps,
        samples=len(next(iter(batch.values()))),
        rows=list(rows),
        rates=monitor.rates,
        warmup=WARMUP,
        falling=DECAY_FRACTION,
        optimizer=type(trainer.optimizers[0]).__name__,
        clip=run.training.clip,
        seed=run.seed,
        device=str(trainer.strategy.root_device),
        first_loss=monitor.losses[0],
        last_loss=monitor.losses[-1],
        metrics_before=before,
        metrics_after=evaluate_batch(module, batch),
        batch_norm="over this batch, as the run trains; evaluated with the statistics of the same batch",
        dropout="off",
        seconds=spent,
        wall_seconds=wall,
        peak_memory_gb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        log_sha256=hashlib.sha256((out / "overfit.jsonl").read_bytes()).hexdigest(),
        git=git,
        versions=versions(),
        hardware=hardware(),
        losses=monitor.losses,
    )
    (out / "overfit.json").write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
    return result


def default_learning_rate_factor(run: Run) -> float:
    """The factor on the run's learning rates; 1 for our own small networks, whose rates are for few steps already."""
    return 1.0 if run.published.source == "ours" else _LEARNING_RATE_FACTORS.get(run.module, 1.0)


def _all_losses_settings(run: Run) -> dict[str, Any]:
    """The run's settings with all losses from the first step on.

    Includes the mesh losses in the SMPL regressor's runs.  Those start from a trained mesh network and hardly change
    it; with random weights it predicts the same mesh for all samples, from which nothing can be learned.
    """
    changed = {"edge_from_epoch": 1, "mesh_weight": 1.0}
    return {name: changed.get(name, value) for name, value in run.settings.items()}
