"""Dry run of a training run: builds everything, runs two steps on generated files, estimates the real run's time."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from backend.body.registry import OPEN_BODIES
from backend.errors import BadInput
from backend.models.spec import network
from training.datasets import tiny
from training.datasets.registry import build_dataset
from training.engine.export import export_weights
from training.engine.manifest import git_state, hardware, versions
from training.engine.trainer import find_machines, make_trainer
from training.run.build import build_module
from training.run.build_data import build_datamodule, check_first_rows, training_dataset_config
from training.run.requirements import FILES, data_root, missing_data
from training.run.spec import Run, SetSpec

STEPS = 2
_ROWS = 4  # per generated set
_CPU_BATCH = 2


@dataclass(frozen=True)
class DryRun:
    """The result of a dry run.  seconds: of the faster step, at `batch` samples."""

    run: Run
    network: str
    parameters: int
    losses: tuple[float, ...]
    metrics: dict[str, float]
    seconds: float
    batch: int
    loading: float  # seconds per sample and worker
    device: str
    samples: int | None  # of the real training set, None where it is not on this machine
    weights: Path

    def __str__(self) -> str:
        training = self.run.training
        step = self.seconds * training.batch / self.batch
        metrics = ", ".join(self.metrics) or "none"
        clock = "of CPU time " if self.device == "cpu" else ""
        losses = " -> ".join(f"{value:.4g}" for value in self.losses)
        return "\n".join(
            [
                f"{self.run.name}: {STEPS} steps on generated files, {self.network} on {self.run.body}",
                f"  {self.parameters / 1e6:.1f} M parameters; loss {losses}; metrics computed: {metrics}",
                f"  measured on {self.device}: {self.seconds:.2f} s {clock}per step at batch {self.batch}, so at most "
                f"{step:.2f} s at the run's {training.batch}; loader {self.loading * 1e3:.0f} ms a sample",
                f"  {self._estimate(step)}",
                f"  weights written as a finished run would: {self.weights}",
                "  not checked: the initial weights, and your data (python -m training check-data)",
            ]
        )

    def facts(self) -> dict[str, Any]:
        """The content of `dry-run.json`."""
        names = "network", "parameters", "losses", "metrics", "seconds", "batch", "loading", "device", "samples"
        return {
            "run": self.run.name,
            **{name: getattr(self, name) for name in names},
            "samples_per_second": self.batch / self.seconds,
            "estimate": self._estimate(self.seconds * self.run.training.batch / self.batch),
            "seed": self.run.seed,
            "git": git_state(),
            "versions": versions(),
            "hardware": hardware(),
        }

    def _estimate(self, step: float) -> str:
        """The real run's time in one line.  step: seconds."""
        training = self.run.training
        known = self.samples or training.samples_published
        samples = known or 100_000
        rounding = math.floor if training.drop_last else math.ceil
        batches = training.epochs * rounding(samples / (training.batch * training.devices))
        hours = batches * step / 3600
        what = f"{samples:,} samples" if known else "its data are not here; per 100,000 samples"
        if known and not self.samples:
            what += " as published (its data are not here)"
        less = "; less, since a step's cost grows slower than its batch" if self.batch < training.batch else ""
        return (
            f"the whole run: {what}, {training.epochs} epochs, {batches:,} steps of "
            f"{training.devices} x {training.batch}; {hours:,.1f} h on {training.devices} such devices, "
            f"{hours * training.devices:,.1f} h on one{less}"
        )


class _StepTimer(Callback):
    """Records the time and loss of every step.  CPU time on a CPU, which may be shared; else wall time."""

    def __init__(self, on_cpu: bool) -> None:
        self.clock = time.process_time if on_cpu else time.perf_counter
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self._started = 0.0

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, index: int) -> None:
        self._started = self.clock()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        self.losses.append(float(outputs["loss"]))  # synchronises with the device
        self.seconds.append(self.clock() - self._started)


def dry_run(run: Run, out: Path | None = None) -> DryRun:
    """Two steps of a run on generated files.  out: for files, logs, weights, `dry-run.json`; None: a temporary folder.

    Raises BadInput as `fit` does, and `diverged` where a loss is NaN or infinite.
    """
    folder = out or Path(tempfile.mkdtemp(prefix=f"{run.name}-dry-"))
    machines = find_machines()
    on_cpu = machines.accelerator == "cpu"
    batch = min(run.training.batch, _CPU_BATCH) if on_cpu else run.training.batch
    # most CPUs emulate bfloat16, many times slower
    precision = "32" if on_cpu else run.training.precision
    tiny_run = with_generated_data(run, folder, batch)
    training = replace(tiny_run.training, devices=machines.world_size, epochs=1, log_every=1, precision=precision)
    tiny_run = replace(tiny_run, training=training)
    built = build_module(tiny_run)
    data = build_datamodule(tiny_run, folder, built.body)
    data.setup("fit")
    check_first_rows(data)
    timer = _StepTimer(on_cpu)
    began = timer.clock()
    records = data.sets["train"][0]
    for index in range(_ROWS):
        data.prepare(records[index], None)
    loading = (timer.clock() - began) / _ROWS
    trainer = make_trainer(
        tiny_run, folder, machines, callbacks=[timer], max_steps=STEPS, quiet=True, limit_validation=1
    )
    trainer.fit(built.module, datamodule=data)
    trainer.validate(built.module, datamodule=data, verbose=False)
    if not all(map(math.isfinite, timer.losses)):
        hint = "Lower the learning rate; check the data."
        raise BadInput("diverged", f"A loss is NaN or infinite: {timer.losses}.", hint)
    model = built.module.model
    assert isinstance(model, torch.nn.Module)
    weights = export_weights(
        model, built.body, tiny_run, folder / "weights", source=f"dry run of {run.name}", testing=True
    )
    result = DryRun(
        run=replace(tiny_run, training=run.training),
        network=run.network,
        parameters=sum(p.numel() for p in model.parameters()),
        losses=tuple(timer.losses),
        metrics={n: float(v) for n, v in trainer.callback_metrics.items() if not n.startswith("train/")},
        seconds=min(timer.seconds),
        batch=batch,
        loading=loading,
        device=str(trainer.strategy.root_device),
        samples=_real_samples(run),
        weights=weights,
    )
    (folder / "dry-run.json").write_text(json.dumps(result.facts(), indent=1), encoding="utf-8")
    return result


def with_generated_data(run: Run, folder: Path, batch: int) -> Run:
    """The run with the open body or hand and with generated files below `folder`, in the formats that it reads."""
    part = network(run.network).part
    rows = max(_ROWS, batch)
    return replace(
        run,
        body=OPEN_BODIES[part],
        settings={name: value for name, value in run.settings.items() if name not in FILES},
        data=replace(
            run.data,
            train=write_tiny_datasets(run.data.train, folder / "train", part, rows),
            validate=write_tiny_datasets(run.data.validate, folder / "validate", part, rows),
            prepare={name: value for name, value in run.data.prepare.items() if name != "bodies"},
            workers=0,
        ),
        training=replace(run.training, batch=batch),
    )


def write_tiny_datasets(specs: Sequence[SetSpec], folder: Path, part: str, rows: int) -> list[SetSpec]:
    """Writes tiny data sets in the formats of `specs` below `folder` -> their specs."""
    made = []
    for k, spec in enumerate(specs):
        kind = spec.kind
        if kind == "tsv" and part == "hand":
            kind = "tsv_hand"
        elif kind == "tsv" and len(specs) == 1 and "Tax-" in str(spec.options):
            kind = "tsv_mix"
        written = tiny.write(kind, folder / str(k), rows, seed=k)
        options = written | {name: value for name, value in spec.options.items() if name != "path"}
        options.pop("kind")
        options.pop("body", None)
        made.append(SetSpec(spec.kind, options, spec.protocol))
    return made


def _real_samples(run: Run) -> int | None:
    """The size of the real training set, None where it is not on this machine."""
    root = data_root()
    if missing_data(run, root):
        return None
    try:
        return len(build_dataset(training_dataset_config(run), root))
    except BadInput:
        return None
