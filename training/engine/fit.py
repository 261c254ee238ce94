"""Trains a run: checks everything, runs the trainer, exports the weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback

from backend.errors import BadInput
from backend.models.backbones.blazepose import BlazePose
from training.datasets.datamodule import RecordData
from training.engine.calibration import calibrate
from training.engine.checkpoints import Preempted, latest_checkpoint
from training.engine.manifest import file_hashes, write_manifest
from training.engine.mesh_images import MeshImageCallback
from training.engine.trainer import Machines, make_trainer
from training.run.build import Built, build_module, frozen_modules, load_initial_weights
from training.run.build_data import build_datamodule, check_first_rows
from training.run.requirements import WHEEL, required_files
from training.run.spec import Run


def fit(
    run: Run,
    root: Path,
    out: Path,
    machines: Machines,
    *,
    checkpoint: Path | None = None,
    begin: bool = True,
    start_file: Path | None = None,
    quiet: bool = False,
) -> bool:
    """Trains to the end and exports -> True; False where it was preempted, after a checkpoint.

    checkpoint: to resume from.  begin: refuse a folder with checkpoints.  start_file: initial weights in place of the
    run's own.  Raises BadInput before the first step for everything that is wrong with run, data, body or weights.
    """
    if begin and checkpoint is None and latest_checkpoint(out / "checkpoints") is not None:
        raise BadInput(
            "out_taken",
            f"{out} has checkpoints of an earlier start.",
            "Continue with --resume, or name another folder with --out.",
        )
    if run.training.keep_maps and machines.nodes > 1:
        raise BadInput(
            "bad_usage",
            f"training.keep_maps caches features for the processes of one machine; here are {machines.nodes}.",
            "Train on one machine, or add --set training.keep_maps=false.",
        )
    rank = process_rank(machines)
    built = build_module(run, root)
    data = build_datamodule(run, root, built.body)
    data.setup("fit")
    check_first_rows(data)
    if checkpoint is None:
        load_initial_weights(built, run, root, start_file)
        if run.start.backbone == WHEEL and start_file is None:
            backbone = built.module.model.get_submodule("backbone")  # type: ignore[union-attr]
            calibrate(cast(BlazePose, backbone), data)  # only BlazePose takes the wheel's weights
    if rank == 0:
        write_manifest(out / "manifest.json", run, manifest_facts(run, root, data, machines, built, checkpoint))
    callbacks: list[Callback] = []
    if run.training.keep_maps:
        from training.engine.feature_cache import FeatureCache, cache_folder

        backbone = built.module.model.get_submodule("backbone")  # type: ignore[union-attr]
        folder = partial(cache_folder, run, root, frozen_modules(run, backbone))
        name = "early" if run.start.freeze == "early" else "features"
        callbacks.append(FeatureCache(backbone, folder, len(data.sets["train"][0]), name))
    done = run_training_loop(
        run, built.module, data, out, machines, checkpoint=checkpoint, callbacks=callbacks, quiet=quiet
    )
    if not done:
        return False
    if rank == 0:
        from training.engine.results import export_checkpoint

        print(f"weights: {export_checkpoint(run, root, out)}")
    return True


def process_rank(machines: Machines) -> int:
    """The global rank of this process, before Lightning is set up: from the launcher's environment variables."""
    if machines.world_size == 1:
        return 0
    env = os.environ
    for name in ("RANK", "SLURM_PROCID"):
        if name in env:
            return int(env[name])
    return int(env.get("NODE_RANK", "0")) * machines.devices + int(env.get("LOCAL_RANK", "0"))


def run_training_loop(
    run: Run,
    module: LightningModule,
    data: Any,
    out: Path,
    machines: Machines,
    *,
    checkpoint: Path | None = None,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
) -> bool:
    """Runs the loop to the end -> True; False where it was preempted.

    data: a LightningDataModule whose state includes its position in the epoch.
    """
    (out / "checkpoints").mkdir(parents=True, exist_ok=True)
    mesh_images = MeshImageCallback(out / "pictures")
    trainer = make_trainer(run, out, machines, callbacks=[mesh_images, *callbacks], quiet=quiet)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    except Preempted:
        return False
    return True


def manifest_facts(
    run: Run, root: Path, data: RecordData, machines: Machines, built: Built, checkpoint: Path | None
) -> dict[str, Any]:
    """The manifest's entries beyond the configuration."""
    accumulate = run.accumulate_for(machines.world_size)
    specs = [*run.data.train, *run.data.validate]
    files = [root / file for spec in specs for file in required_files(spec, run.data.prepare)]
    weight_files = [Path(name) for name in built.initial_weights]
    return {
        "machines": {
            "devices": machines.devices,
            "nodes": machines.nodes,
            "accelerator": machines.accelerator,
        },
        "global_batch": {
            "here": run.training.batch * machines.world_size * accumulate,
            "published": run.training.batch * run.training.devices,
            "accumulated": accumulate,
        },
        "samples": {part: [len(records) for records in sets] for part, sets in data.sets.items()},
        "data_sha256": file_hashes(files, root),
        "start": built.initial_weights,
        "start_sha256": file_hashes(weight_files, root),
        "body": {"name": built.body.name, "license": built.body.license},
        "resumed_from": str(checkpoint) if checkpoint else None,
    }
