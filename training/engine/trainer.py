"""The Trainer of a run: devices, precision, clipping, checkpoints, logs."""

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
    """Where a run computes.  devices: processes per node, one per GPU (or per CPU share)."""

    devices: int = 1
    nodes: int = 1
    accelerator: Literal["cpu", "gpu"] = "cpu"

    @property
    def world_size(self) -> int:
        return self.devices * self.nodes


def find_machines(devices: int | None = None, nodes: int | None = None) -> Machines:
    """What was asked for, else what torchrun or Slurm has set up, else one process on the best device here.

    Raises BadInput `bad_usage` where the two contradict each other.
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
    asked = (devices or launched.devices, nodes or launched.nodes)
    if asked != (launched.devices, launched.nodes):
        raise BadInput(
            "bad_usage",
            f"{by} started {launched.devices} processes on {launched.nodes} nodes, "
            f"--devices and --nodes say {asked[0]} and {asked[1]}.",
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
    """out: folder of the run: `checkpoints/`, `logs/`, `log.jsonl`.  limit_validation: batches; None for all."""
    filter_lightning_warnings()
    training = run.training
    loggers = [TensorBoardLogger(out / "logs", name="", version=""), LogFile(out / "log.jsonl")]
    checkpoints = Checkpoints(out / "checkpoints", training.checkpoint_every, select=training.select)
    options: dict[str, Any] = {}
    if SLURMEnvironment.detect():
        # requeueing is the job script's affair, see docs/training.md; Lightning's own would save elsewhere
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
        # PyTorch synchronises batch norms on GPUs alone
        sync_batchnorm=training.sync_batchnorm and machines.world_size > 1 and machines.accelerator == "gpu",
        use_distributed_sampler=False,  # ours shards, and remembers its place
        num_sanity_val_steps=0,
        logger=loggers if logs else False,
        callbacks=[SeedEveryBatch(run.seed), checkpoints, *callbacks],
        enable_checkpointing=False,  # `Checkpoints` does
        enable_progress_bar=not quiet,
        enable_model_summary=not quiet,
        log_every_n_steps=run.training.log_every,
        limit_val_batches=limit_validation,
        default_root_dir=out,
        **options,
    )


def filter_lightning_warnings() -> None:
    """Lightning's advice that does not fit what we do."""
    for text in (
        "does not have many workers",
        "treespec, LeafSpec",
        "no `val_dataloader`",
        "in eval mode at the start",
    ):
        warnings.filterwarnings("ignore", message=f".*{text}.*")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)


def make_strategy(run: Run, machines: Machines) -> Any:
    """DDP where there is more than one process.  Some networks leave weights without gradient by design."""
    if machines.world_size == 1:
        return "auto"
    return DDPStrategy(
        process_group_backend="nccl" if machines.accelerator == "gpu" else "gloo",
        find_unused_parameters=run.training.unused_parameters,
        gradient_as_bucket_view=True,
    )
