"""Builds Lightning's Trainer for a run: devices, precision, clipping, checkpoints, logs."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy

from backend.errors import BadInput
from training.engine.checkpoints import Checkpoints
from training.engine.json_logger import LogFile
from training.engine.seeding import SeedEveryBatch
from training.run.spec import Run


@dataclass(frozen=True)
class Machines:
    """Devices and nodes of a run.  devices: processes per node, one per GPU."""

    devices: int = 1
    nodes: int = 1
    accelerator: Literal["cpu", "gpu"] = "cpu"

    @property
    def world_size(self) -> int:
        return self.devices * self.nodes


def find_machines(devices: int | None = None, nodes: int | None = None) -> Machines:
    """The requested devices and nodes, else those of torchrun or Slurm, else one process on a GPU or the CPU.

    Raises BadInput `bad_usage` where the request contradicts the launcher.
    """
    accelerator: Literal["cpu", "gpu"] = "gpu" if torch.cuda.is_available() else "cpu"
    env = os.environ
    if "LOCAL_WORLD_SIZE" in env:  # torchrun
        local, world_size = int(env["LOCAL_WORLD_SIZE"]), int(env["WORLD_SIZE"])
        launched = Machines(local, world_size // local, accelerator)
        by = "torchrun"
    elif "SLURM_NTASKS" in env and SLURMEnvironment.detect():
        count = int(env.get("SLURM_NNODES", "1"))
        launched = Machines(int(env["SLURM_NTASKS"]) // count, count, accelerator)
        by = "Slurm"
    else:
        return Machines(devices or 1, nodes or 1, accelerator)
    requested = (devices or launched.devices, nodes or launched.nodes)
    if requested != (launched.devices, launched.nodes):
        raise BadInput(
            "bad_usage",
            f"{by} started {launched.devices} processes on {launched.nodes} nodes, "
            f"--devices and --nodes request {requested[0]} and {requested[1]}.",
            "Leave them out: the launcher decides.",
        )
    return launched


def make_trainer(
    run: Run,
    out: Path,
    machines: Machines,
    *,
    callbacks: Sequence[Callback] = (),
    max_steps: int = -1,
    quiet: bool = False,
    logs: bool = True,
    limit_validation: int | None = None,
) -> Trainer:
    """The run's Trainer.  out: folder of `checkpoints/`, `logs/`, `log.jsonl`.  limit_validation: in batches."""
    filter_lightning_warnings()
    training = run.training
    loggers = [TensorBoardLogger(out / "logs", name="", version=""), LogFile(out / "log.jsonl")]
    checkpoints = Checkpoints(out / "checkpoints", training.checkpoint_every, select=training.select)
    options: dict[str, Any] = {}
    if SLURMEnvironment.detect():
        # the job script requeues, see docs/training.md; Lightning's own requeueing would save elsewhere
        options["plugins"] = [SLURMEnvironment(auto_requeue=False)]
    return Trainer(
        accelerator=machines.accelerator,
        devices=machines.devices,
        num_nodes=machines.nodes,
        strategy=make_strategy(run, machines),
        precision="bf16-mixed" if training.precision == "bf16" else "32-true",
        max_epochs=training.epochs,
        max_steps=max_steps,
        gradient_clip_val=training.clip or None,
        accumulate_grad_batches=run.accumulate_for(machines.world_size),
        # PyTorch synchronises batch norm on GPUs only
        sync_batchnorm=training.sync_batchnorm and machines.world_size > 1 and machines.accelerator == "gpu",
        use_distributed_sampler=False,  # ours shards and can resume
        num_sanity_val_steps=0,
        logger=loggers if logs else False,
        callbacks=[SeedEveryBatch(run.seed), checkpoints, *callbacks],
        enable_checkpointing=False,  # `Checkpoints` writes them
        enable_progress_bar=not quiet,
        enable_model_summary=not quiet,
        log_every_n_steps=run.training.log_every,
        limit_val_batches=limit_validation,
        default_root_dir=out,
        **options,
    )


def filter_lightning_warnings() -> None:
    """Silences warnings of Lightning that do not apply here."""
    for text in (
        "does not have many workers",
        "treespec, LeafSpec",
        "no `val_dataloader`",
        "in eval mode at the start",
    ):
        warnings.filterwarnings("ignore", message=f".*{text}.*")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)


def make_strategy(run: Run, machines: Machines) -> Any:
    """DDP for more than one process, else Lightning's default.  Some networks have weights without gradient."""
    if machines.world_size == 1:
        return "auto"
    return DDPStrategy(
        process_group_backend="nccl" if machines.accelerator == "gpu" else "gloo",
        find_unused_parameters=run.training.unused_parameters,
        gradient_as_bucket_view=True,
    )
