"""A program that trains a tiny module on tiny data, for tests that kill it or start two processes."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback
from torch import nn

from training.datasets.base import BaseDataset
from training.datasets.datamodule import RecordData
from training.datasets.record import Record
from training.engine.checkpoints import PREEMPTED, find_checkpoint
from training.engine.fit import run_training_loop
from training.engine.trainer import find_machines
from training.modules.evaluation_module import step_decay_schedule
from training.run.spec import load_run

WIDTH = 6


class Rows(BaseDataset):
    """Row i has random numbers that depend on i alone."""

    name = "toy"

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, row: int) -> Record:
        joints = np.random.RandomState(row).standard_normal((WIDTH, 3)).astype(np.float32)
        return Record(key=str(row), dataset="toy", joint_set="toy", joints2d=joints)

    def __getitem__(self, index: int) -> Record:
        return self.read(index)


def prepare(record: Record, rng: np.random.Generator | None) -> dict[str, np.ndarray]:
    x = record.joints2d
    noise = 0 if rng is None else rng.standard_normal(x.shape).astype(np.float32)
    return {"x": x + np.float32(0.1) * noise, "y": x.sum(1)}


class Toy(LightningModule):
    """A tiny module.  dropout: 0 where numbers of processes are compared."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.model = nn.Sequential(
            nn.Flatten(), nn.Linear(3 * WIDTH, 32), nn.Dropout(dropout), nn.GELU(), nn.Linear(32, WIDTH)
        )

    def training_step(self, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        loss = (self.model(batch["x"]) - batch["y"]).square().mean()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: dict[str, torch.Tensor], index: int) -> None:
        self.log("toy/MPJPE", (self.model(batch["x"]) - batch["y"]).abs().mean(), sync_dist=True)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), 1e-2)
        return {
            "optimizer": optimizer,
            "lr_scheduler": step_decay_schedule(optimizer, self, step=2, gamma=0.5, warmup=3),
        }


class KillAfter(Callback):
    """Sends SIGKILL, or another signal, as a cluster does, to the process of the last rank after `step`."""

    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == self.step and trainer.global_rank == trainer.world_size - 1:
            os.kill(os.getpid(), self.number)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kill-after", type=int, default=0)
    parser.add_argument("--send", type=int, default=int(signal.SIGKILL))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--devices", type=int, default=1, help="that the batch is published with")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--rows", type=int, default=44)
    parser.add_argument("--dropout", type=float, default=0.3)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    run = load_run("fastmetro-s-r50-mixed")
    training = replace(
        run.training, epochs=3, batch=args.batch, devices=args.devices, checkpoint_every=3, select="MPJPE", clip=1.0,
        unused_parameters=False, log_every=1,
    )  # fmt: skip
    run = replace(run, training=training)
    data = RecordData(
        prepare,
        Rows(args.rows),
        Rows(args.rows),
        batch_size=args.batch,
        workers=args.workers,
        seed=run.seed,
        check_rows=0,
    )
    module = Toy(args.dropout)
    callbacks = [KillAfter(args.kill_after, args.send)] if args.kill_after else []
    checkpoint = find_checkpoint(args.out, "auto" if args.resume else "no")
    print("from", checkpoint)
    done = run_training_loop(
        run, module, data, args.out, find_machines(), checkpoint=checkpoint, callbacks=callbacks, quiet=True
    )
    if done and int(os.environ.get("RANK", "0")) == 0:
        np.savez(args.out / "weights.npz", **{k: v.numpy() for k, v in module.state_dict().items()})
    return 0 if done else PREEMPTED


def start(*arguments: str) -> int:
    """Exit code of `main` in a forked process, which need not import everything again."""
    process = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(main(list(arguments))))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


if __name__ == "__main__":
    raise SystemExit(main())
