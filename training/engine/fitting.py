"""From a run to trained weights: everything checked first, then the trainer, then the export."""

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
from training.engine.manifest import hashes_of, write_manifest
from training.engine.pictures import PictureCallback
from training.engine.trainer import Machines, make_trainer
from training.run.build import Built, build_module, frozen, start
from training.run.data import make_data, try_first
from training.run.requirements import WHEEL, files_of
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
    """Train to the end and export -> True; False where it was preempted after a checkpoint.

    checkpoint: to go on from.  begin: refuse a folder that holds checkpoints already.  Raises BadInput before the
    first step for everything that is wrong with run, data, body or start weights.
    """
    if begin and checkpoint is None and latest_checkpoint(out / "checkpoints") is not None:
        raise BadInput(
            "out_taken",
            f"{out} holds checkpoints of an earlier start.",
            "Go on with --resume, or name another folder with --out.",
        )
    if run.training.keep_maps and machines.nodes > 1:
        raise BadInput(
            "bad_usage",
            f"training.keep_maps keeps files that processes of one machine share; these are {machines.nodes} machines.",
            "Train on one machine, or add --set training.keep_maps=false.",
        )
    rank = rank_of(machines)
    built = build_module(run, root)
    data = make_data(run, root, built.body)
    data.setup("fit")
    try_first(data)
    if checkpoint is None:
        start(built, run, root, start_file)
        if run.start.backbone == WHEEL and start_file is None:
            trunk = built.module.model.get_submodule("backbone")  # type: ignore[union-attr]
            calibrate(cast(BlazePose, trunk), data)  # no other takes the wheel's weights
    if rank == 0:
        write_manifest(out / "manifest.json", run, facts_of(run, root, data, machines, built, checkpoint))
    callbacks: list[Callback] = []
    if run.training.keep_maps:
        from training.engine.kept_maps import KeptMaps, folder_of

        backbone = built.module.model.get_submodule("backbone")  # type: ignore[union-attr]
        folder = partial(folder_of, run, root, frozen(run, backbone))
        name = "early" if run.start.freeze == "early" else "features"
        callbacks.append(KeptMaps(backbone, folder, len(data.sets["train"][0]), name))
    done = run_module(
        run, built.module, data, out, machines, checkpoint=checkpoint, callbacks=callbacks, quiet=quiet
    )
    if not done:
        return False
    if rank == 0:
        from training.engine.results import export_checkpoint

        print(f"weights: {export_checkpoint(run, root, out)}")
    return True


def rank_of(machines: Machines) -> int:
    """Of this process, before Lightning knows: torchrun, Slurm and its own launcher put it into the environment."""
    if machines.world == 1:
        return 0
    env = os.environ
    for name in ("RANK", "SLURM_PROCID"):
        if name in env:
            return int(env[name])
    return int(env.get("NODE_RANK", "0")) * machines.devices + int(env.get("LOCAL_RANK", "0"))


def run_module(
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
    """The loop itself -> True; False where it was preempted.  data: a LightningDataModule that keeps its place."""
    (out / "checkpoints").mkdir(parents=True, exist_ok=True)
    pictures = PictureCallback(out / "pictures")
    trainer = make_trainer(run, out, machines, callbacks=[pictures, *callbacks], quiet=quiet)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    except Preempted:
        return False
    return True


def facts_of(
    run: Run, root: Path, data: RecordData, machines: Machines, built: Built, checkpoint: Path | None
) -> dict[str, Any]:
    """What the manifest says beyond the configuration."""
    accumulate = run.accumulate_for(machines.world)
    specs = [*run.data.train, *run.data.validate]
    files = [root / file for spec in specs for file in files_of(spec, run.data.prepare)]
    started = [Path(name) for name in built.started]
    return {
        "machines": {
            "devices": machines.devices,
            "nodes": machines.nodes,
            "accelerator": machines.accelerator,
        },
        "global_batch": {
            "here": run.training.batch * machines.world * accumulate,
            "published": run.training.batch * run.training.devices,
            "accumulated": accumulate,
        },
        "samples": {part: [len(records) for records in sets] for part, sets in data.sets.items()},
        "data_sha256": hashes_of(files, root),
        "start": built.started,
        "start_sha256": hashes_of(started, root),
        "body": {"name": built.body.name, "license": built.body.license},
        "resumed_from": str(checkpoint) if checkpoint else None,
    }
