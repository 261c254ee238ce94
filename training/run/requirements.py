"""The files that a run needs locally, and which are missing.  Imports no torch, so that `list` stays fast."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from backend.body.registry import OPEN_NAMES, REGRESSOR_FILES, available_bodies
from backend.models.spec import network
from training.datasets.registry import dataset_class
from training.run.spec import Run, SetSpec

WHEEL = "mediapipe"  # value of `start.backbone`: the network in MediaPipe's wheel, which is always installed
DATA_VARIABLE = "RECOVER_MESH_DATA"
RUNS_VARIABLE = "RECOVER_MESH_RUNS"
# settings that name a file below the data root
FILES = ("mesh_sampler", "mean_parameters")


def data_root(given: Path | None = None) -> Path:
    """The folder of the benchmarks: --data, else the environment, else ./data."""
    return given or Path(os.environ.get(DATA_VARIABLE) or "data")


def runs_root() -> Path:
    """The folder that runs write to without --out: one folder per run and seed."""
    return Path(os.environ.get(RUNS_VARIABLE) or Path("out") / "training")


def run_folder(run: Run) -> Path:
    return runs_root() / run.name / f"seed-{run.seed}"


def exported_weights(name: str, seed: int | None = None) -> Path | None:
    """The weights that a local run has exported: those of `seed` if there are any, else the newest; None if none."""
    found = list((runs_root() / name).glob("seed-*/weights/*.safetensors"))
    same = [path for path in found if path.parts[-3] == f"seed-{seed}"]
    return max(same or found, key=lambda path: path.stat().st_mtime, default=None)


def missing(run: Run, root: Path) -> list[str]:
    """One line for each file that the run still needs; [] where it is ready."""
    return [*missing_data(run, root), *missing_initial_weights(run, root), *missing_body(run)]


def missing_data(run: Run, root: Path, train: bool = True) -> list[str]:
    wanted: dict[str, None] = {}
    for spec in [*run.data.train * train, *run.data.validate]:
        wanted |= dict.fromkeys(required_files(spec, run.data.prepare))
    wanted |= dict.fromkeys(str(run.settings[name]) for name in FILES if run.settings.get(name))
    return [f"data: {root / file}" for file in wanted if not _data_exists(root, file)]


def missing_initial_weights(run: Run, root: Path) -> list[str]:
    start = run.start
    earlier = start.run or start.backbone_of
    if earlier and exported_weights(earlier, run.seed) is None:
        return [f"start: the weights of {earlier} (run it first, or give a file with --from)"]
    file = start.weights or start.backbone
    if file and file != WHEEL and not (root / file).is_file():
        return [f"start: {root / file}, {start.what}"]
    return []


def missing_body(run: Run) -> list[str]:
    """Lines for missing bodies, and for joint regressors of them that the run's metrics and losses need."""
    bodies = {spec.name: spec.path for spec in available_bodies()}
    body_names = [run.body, *run.data.prepare.get("bodies", {}).values()]
    return [
        line for name in body_names for line in _missing_body(name, bodies.get(name, Path(name)), regressors_of(run))
    ]


def _missing_body(name: str, path: Path, needs: list[str]) -> list[str]:
    files = {joints: file for file, joints in REGRESSOR_FILES.items()}
    if not path.is_file():
        beside = f" --with {' '.join(files[joints] for joints in needs)}" if needs else ""
        return [f"body: {name} (recover-mesh bodies import FILE --name {name}{beside})"]
    if path.suffix != ".npz":
        return []
    with np.load(path, allow_pickle=False) as archive:
        missing_regressors = [joints for joints in needs if f"J_regressor_{joints}" not in archive.files]
    return [f"body: {files[joints]} of {name} (bodies import FILE --with it)" for joints in missing_regressors]


def regressors_of(run: Run) -> list[str]:
    """Names of the joint regressors that the run takes from its body."""
    if network(run.network).part == "hand":
        return []
    pose_set = run.data.prepare.get("pose_set")
    needs = {"smpl": [], "coco": ["h36m17", "coco17"]}.get(str(pose_set), ["h36m17"])
    regressor = run.settings.get("joint_regressor", "h36m17")
    # an open body's only regressor is used in place of any other
    return needs if regressor in needs or run.body in OPEN_NAMES else [*needs, regressor]


def _data_exists(root: Path, pattern: str) -> bool:
    return any(root.glob(pattern)) if "*" in pattern else (root / pattern).exists()


def required_files(spec: SetSpec, prepare: Mapping[str, Any]) -> list[str]:
    """Paths and patterns, relative to the data root, of one data set of a run; see `BaseDataset.files`.

    prepare: the run's `data.prepare`.  Raises BadInput `unknown_dataset`.
    """
    folder = PurePosixPath(str(spec.options.get("path", "")))
    detected = prepare.get("input") == "detected"
    return [str(folder / name) for name in dataset_class(spec.kind).files(spec.options, detected)]
