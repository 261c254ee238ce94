"""Checkpoints that stay valid when the process is killed at any moment, and the stop at preemption by a cluster."""

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

PREEMPTED = 75  # exit code after a checkpoint at preemption: start again with --resume
# what clusters send before they kill: Slurm SIGUSR1 (by `slurm.sbatch`), others SIGTERM
_SIGNALS = [signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])]
_NAME = re.compile(r"step-(\d+)\.ckpt")
_SYNC_EVERY = 10  # steps between checks whether any process received a signal; origin not recorded


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the most steps in `folder`, None where there is none."""
    found = [(int(m[1]), p) for p in folder.glob("step-*.ckpt") if (m := _NAME.fullmatch(p.name))]
    return max(found)[1] if found else None


def find_checkpoint(out: Path, resume: str) -> Path | None:
    """The checkpoint to resume from, or None.  resume: `no`, `auto` (the latest below `out`) or a file.

    Raises BadInput `file_missing`.
    """
    if resume == "no":
        return None
    if resume == "auto":
        return latest_checkpoint(out / "checkpoints")
    path = Path(resume)
    if not path.is_file():
        raise BadInput("file_missing", f"There is no checkpoint {path}.", "Give --resume alone, or a file.")
    return path


class Preempted(Exception):
    """Raised in every process, after a checkpoint, when any of them received a stop signal."""


class Checkpoints(Callback):
    """Writes `step-NNNNNNNN.ckpt` every `every` steps, after every epoch, and at preemption.

    A file gets its name only when complete, and the one before it is deleted only then: a process that is killed at any
    moment leaves a valid checkpoint.  keep: how many stay.  select: a metric's name; `best.ckpt` is the epoch where it
    was lowest (of several protocols: by the first that logs it).
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
        # not earlier: Lightning then installs its own handlers, which finish the batch and save nothing
        if trainer.is_global_zero:
            remove_unfinished(self.folder)
        for number in _SIGNALS:
            self._old_handlers[number] = signal.signal(number, self._on_signal)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # not later: Lightning would have restored the handlers from before the fit, and we would put its own back for
        # good, with a reference to the trainer
        while self._old_handlers:
            number, handler = self._old_handlers.popitem()
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        self._stop_requested = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.fit_loop.epoch_loop._should_accumulate() or batch_idx + 1 >= trainer.num_training_batches:
            return  # on_train_epoch_end writes that one, after validation
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

    def _must_stop(self, trainer: Trainer, sync: bool) -> bool:
        """Whether any process received a signal: all must stop after the same step.  sync: compare processes now."""
        if trainer.world_size == 1:
            return self._stop_requested
        return sync and bool(trainer.strategy.reduce_boolean_decision(self._stop_requested, all=False))

    def write(self, trainer: Trainer) -> Path:
        """Writes a checkpoint -> its path.  Collective: every process must call it."""
        path = self.folder / f"step-{trainer.global_step:08d}.ckpt"
        # every process calls save_checkpoint, but only rank 0 writes
        with atomic_path(path) if trainer.is_global_zero else nullcontext(path) as temporary:
            trainer.save_checkpoint(temporary, weights_only=False)
        if trainer.is_global_zero:
            for old in sorted(self.folder.glob("step-*.ckpt"))[: -self.keep]:
                old.unlink(missing_ok=True)
        trainer.strategy.barrier("checkpoint")
        return path


def _metric(trainer: Trainer, name: str) -> float | None:
    """The first logged metric `PROTOCOL/name` of any protocol, None where there is none."""
    for key, value in trainer.callback_metrics.items():
        if key.rpartition("/")[2] == name:
            return float(value)
    return None
