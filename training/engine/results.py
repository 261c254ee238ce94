"""After training: chooses the checkpoint, exports its weights, evaluates it and writes the results."""

from __future__ import annotations

import dataclasses
import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from backend.errors import BadInput
from backend.models.checkpoints import file_hash
from training.engine.checkpoints import latest_checkpoint
from training.engine.export import export_weights
from training.engine.manifest import git_state, hardware, versions
from training.engine.trainer import Machines, make_trainer
from training.run.build import Built, build_module
from training.run.build_data import build_datamodule
from training.run.requirements import run_folder
from training.run.spec import Run
from training.weights.initial_weights import load_network


@dataclass(frozen=True)
class EvaluationResult:
    """The result of evaluating a run.

    metrics: by `protocol/name`, mm.  weights: file that was evaluated.  limited: number of batches, None for all.
    """

    metrics: dict[str, float]
    weights: Path
    limited: int | None = None


def chosen_checkpoint(out: Path) -> Path:
    """The best checkpoint where the run selects one, else the latest.  Raises BadInput `no_checkpoint`."""
    best = out / "checkpoints" / "best.ckpt"
    path = best if best.is_file() else latest_checkpoint(out / "checkpoints")
    if path is None:
        raise BadInput(
            "no_checkpoint",
            f"There is no checkpoint below {out}.",
            "Train first (fit), or name another folder with --out, or a file.",
        )
    return path


def load_weights(built: Built, path: Path) -> None:
    """Loads a checkpoint of ours, an exported file or an official one.  Raises BadInput as `load_network` does."""
    if path.suffix == ".ckpt":
        content = torch.load(path, map_location="cpu", weights_only=True)
        built.module.load_state_dict(content["state_dict"])
    else:
        load_network(built.module.model, path)  # type: ignore[arg-type]


def export_checkpoint(run: Run, root: Path, out: Path | None = None, checkpoint: Path | None = None) -> Path:
    """Writes `weights/*.safetensors` into the run's folder -> its path; see `export_weights`."""
    folder = out or run_folder(run)
    path = checkpoint or chosen_checkpoint(folder)
    built = build_module(run, root)
    load_weights(built, path)
    steps = torch.load(path, map_location="cpu", weights_only=True).get("global_step", "?")
    results = folder / "results.json"
    notes = f"Seed {run.seed}, git {git_state().get('commit', 'unknown')[:12]}."
    if results.is_file():
        metrics = json.loads(results.read_text(encoding="utf-8"))["metrics"]
        notes += " " + ", ".join(f"{name} {value:.2f}" for name, value in metrics.items()) + " mm."
    model = built.module.model
    assert isinstance(model, torch.nn.Module)
    source = f"training run {run.name}, {steps} steps, {path.name}"
    return export_weights(model, built.body, run, folder / "weights", source=source, notes=notes)


def evaluate_run(
    run: Run,
    root: Path,
    out: Path,
    machines: Machines,
    weights: Path | None = None,
    *,
    limit: int | None = None,
    quiet: bool = False,
) -> EvaluationResult:
    """The metrics of every validation set.  weights: a file; None: the run's own.  limit: batches.

    Raises BadInput `no_checkpoint`, `file_missing`, and as `load_network` does.
    """
    path = weights or chosen_checkpoint(out)
    if not path.is_file():
        raise BadInput("file_missing", f"There is no file {path}.", "Give a checkpoint or weights.")
    built = build_module(run, root)
    load_weights(built, path)
    data = build_datamodule(run, root, built.body)
    trainer = make_trainer(run, out, machines, quiet=quiet, logs=False, limit_validation=limit)
    trainer.validate(built.module, datamodule=data, verbose=False)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return EvaluationResult(metrics, path, limit)


def write_results(out: Path, run: Run, measured: EvaluationResult) -> Path:
    """Writes metrics, configuration and versions -> `results.json`; with a limit of batches: `results-part.json`."""
    content: dict[str, Any] = {
        "run": run.name,
        "seed": run.seed,
        "metrics": measured.metrics,
        "published": dataclasses.asdict(run.published),
        "weights": str(measured.weights),
        "weights_sha256": file_hash(measured.weights),
        "batches": measured.limited or "all",
        "config": dataclasses.asdict(run),
        "git": git_state(),
        "versions": versions(),
        "hardware": hardware(),
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    path = out / ("results-part.json" if measured.limited else "results.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
    return path
