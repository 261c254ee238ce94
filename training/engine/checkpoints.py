"""Checkpoints that survive being killed at any moment, and leaving in time when the cluster wants its machines back."""

from __future__ import annotations

import math
import re
import shutil
import signal
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from backend.atomic import atomic_path, remove_unfinished
from backend.errors import BadInput

PREEMPTED = 75  # exit code: stopped for preemption with a checkpoint; start again with --resume
_NAME = re.compile(r"step-(\d+)\.ckpt")
_SYNC_EVERY = 10  # steps between looks at whether any process was told to stop


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the most steps in a run's folder, None where there is none."""
    found = [(int(m[1]), p) for p in folder.glob("step-*.ckpt") if (m := _NAME.fullmatch(p.name))]
    return max(found)[1] if found else None


def find_checkpoint(out: Path, resume: str) -> Path | None:
    """resume: `no`, `auto` (the latest below `out`, else none) or a file.  Raises BadInput `file_missing`."""
    if resume == "no":
        return None
    if resume == "auto":
        return latest_checkpoint(out / "checkpoints")
    path = Path(resume)
    if not path.is_file():
        raise BadInput("file_missing", f"There is no checkpoint {path}.", "Give --resume alone, or a file.")
    return path


class Preempted(Exception):
    """Raised in every process after the last checkpoint, when any of them was told to stop."""


class Checkpoints(Callback):
    """Writes `step-NNNNNNNN.ckpt` every so many steps, after every epoch, and before leaving.

    A file appears under its name only when complete, and the one before it is deleted only then, so that killing the
    process at any moment leaves a good one.  select: a metric's name; `best.ckpt` is the epoch where its first logged
    value was lowest.
    """

    def __init__(self, folder: Path, every: int, keep: int = 2, select: str = "") -> None:
        self.folder = folder
        self.every = every
        self.keep = keep
        self.select = select
        self.best = math.inf
        self._stop_requested = False
        self._old_handlers: dict[int, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # not earlier: Lightning installs its own, which would go on with the batch and save nothing
        if trainer.is_global_zero:
            remove_unfinished(self.folder)
        for number in _signals():
            self._old_handlers[number] = signal.signal(number, self._on_signal)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # not later: Lightning would have put back what was there before it, and its own would stay for good, with the
        # whole trainer in it
        while self._old_handlers:
            number, handler = self._old_handlers.popitem()
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        self._stop_requested = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.fit_loop.epoch_loop._should_accumulate() or batch_idx + 1 >= trainer.num_training_batches:
            return  # the end of the epoch writes its own, after validation
        stop = self._must_stop(trainer, trainer.global_step % _SYNC_EVERY == 0)
        if stop or trainer.global_step % self.every == 0:
            self.write(trainer)
        if stop:
            raise Preempted

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = _metric(trainer, self.select) if self.select else None
        better = False
        if value is not None and value < self.best:
            self.best, better = value, True
        path = self.write(trainer)
        if better and trainer.is_global_zero:
            with atomic_path(self.folder / "best.ckpt") as temporary:
                shutil.copyfile(path, temporary)
        if self._must_stop(trainer, True) and trainer.current_epoch + 1 < (trainer.max_epochs or 0):
            raise Preempted

    def _must_stop(self, trainer: Trainer, ask: bool) -> bool:
        """Whether any process was told to stop: all must leave after the same step.  ask: whether to ask the others."""
        if trainer.world_size == 1:
            return self._stop_requested
        return ask and bool(trainer.strategy.reduce_boolean_decision(self._stop_requested, all=False))

    def write(self, trainer: Trainer) -> Path:
        """All processes must call it."""
        path = self.folder / f"step-{trainer.global_step:08d}.ckpt"
        # the others take part, but only this process writes
        with atomic_path(path) if trainer.is_global_zero else nullcontext(path) as temporary:
            trainer.save_checkpoint(temporary, weights_only=False)
        if trainer.is_global_zero:
            for old in sorted(self.folder.glob("step-*.ckpt"))[: -self.keep]:
                old.unlink(missing_ok=True)
        trainer.strategy.barrier("checkpoint")
        return path


def _metric(trainer: Trainer, name: str) -> float | None:
    """The first logged metric of that name, whatever protocol stands around it."""
    for key, value in trainer.callback_metrics.items():
        if key.rpartition("/")[2] == name:
            return float(value)
    return None


def _signals() -> list[signal.Signals]:
    """What clusters send before they kill: Slurm SIGUSR1 by our sbatch line, others SIGTERM."""
    return [signal.SIGTERM] + ([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])
