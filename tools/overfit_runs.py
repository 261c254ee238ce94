"""`python -m tools.overfit_runs OUT`: overfit one batch with every network of the runs; `--dry-runs`: dry runs of all.

Cheapest first, each in its own process with one thread.  Results that are in OUT already are skipped, so that the
command resumes.  All results in OUT are collected in `docs/training-results/overfit.json` and `dry-run.json`.  The
number of steps is what `--minutes` of CPU time allow by `SECONDS`; on one core, convergence would take more than a day.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Container
from functools import cache
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from training.commands.listing import published_results
from training.run.spec import Run, load_run, run_names

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "training-results"
# One run of every network, of Pose2Mesh's one of every stage, cheapest first; seconds per step of two samples with one
# thread, measured on one machine
SECONDS = {
    "fastmetro-small": 0.3,
    "smpler-backbone-small": 0.1,
    "smpler-small": 0.4,
    "deformer-small": 0.4,
    "pose2mesh-freihand-posenet": 1.3,
    "pose2mesh-human36m-posenet": 1.3,
    "pose2mesh-3dpw-posenet": 1.3,
    "pose2mesh-surreal-posenet": 1.3,
    "pose2mesh-freihand-full": 2.0,
    "fastmetro-s-r50-mixed": 1.8,
    "fastmetro-s-r50-freihand": 1.8,
    "fastmetro-s-r50-smpl-mixed": 2.5,
    "pose2mesh-human36m-full": 3.0,
    "pose2mesh-3dpw-full": 3.0,
    "pose2mesh-surreal-full": 3.0,
    "fastmetro-m-r50-mixed": 2.3,
    "fastmetro-l-r50-mixed": 2.8,
    "smpler-backbone": 3.0,
    "smpler-mixed": 3.5,
    "deformer-r50": 3.2,
    "fastmetro-l-h64-freihand": 5.0,
    "fastmetro-l-h64-mixed": 5.0,
    "fastmetro-l-h64-smpl-mixed": 8.0,
    "smpler-l-backbone": 5.0,
    "smpler-l-mixed": 6.0,
    "deformer-w48": 6.0,
    "deformer-hrformer": 7.0,
    "deformer-w48-384": 10.0,
    "deformer-w48-dense": 12.0,
}


_IMPORTED = (
    "__main__",
    "engine.dry_run",
    "engine.one_batch",
    "engine.overfit",
    *(f"modules.{family}" for family in ("fastmetro", "smpler", "deformer", "pose2mesh")),
    *(f"preprocessing.{style}" for style in ("metro_style", "pose2mesh_style")),
)


def representative_run(run: Run) -> str:
    """The run of `SECONDS` that trains the same network, and of Pose2Mesh the same part of it."""
    found = _representatives().get(_network_key(run))
    if found is None:
        raise SystemExit(f"{run.name}: SECONDS in tools/overfit_runs.py has no run of {run.network}; add one.")
    return found


@cache
def _representatives() -> dict[tuple[str, str], str]:
    return {_network_key(load_run(name)): name for name in SECONDS}


def _network_key(run: Run) -> tuple[str, str]:
    return run.network, str(run.settings.get("stage", ""))


def steps_for(name: str, minutes: float, most: int) -> int:
    """Number of steps for `minutes` of CPU time, 5 to `most`."""
    return max(5, min(most, int(60 * minutes / SECONDS[name])))


def call(arguments: list[str], log: Path) -> int:
    """Exit code of `python -m training fit ARGUMENTS` in its own process, its output in `log`.

    Forked after all imports and before any computation, because imports take minutes on a busy machine.
    """
    process = get_context("fork").Process(target=_fit, args=(arguments, log))
    process.start()
    process.join()
    return process.exitcode or 0


def _fit(arguments: list[str], log: Path) -> None:
    from training.__main__ import main as fit

    with log.open("w", encoding="utf-8", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.orig_argv[1:] = ["-m", "training", "fit", *arguments]
        raise SystemExit(fit(["fit", *arguments]))


def _import_all() -> None:
    import torch

    torch.set_num_threads(1)
    for name in _IMPORTED:
        import_module(f"training.{name}")


def run_one(name: str, kind: str, arguments: list[str], out: Path) -> bool:
    """Whether the run succeeded.  Generated files and weights are deleted, results kept."""
    folder = out / kind / name
    result_file = folder / f"{kind}.json"
    if result_file.is_file():
        return True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    code = call([name, *arguments, "--out", str(folder)], folder / "output.txt")
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    print(f"{kind} {name}: {'done' if code == 0 else f'failed, see {folder}/output.txt'}", flush=True)
    return code == 0


def gather(out: Path, results: Path = RESULTS) -> None:
    """Write all results in OUT to one JSON file per kind: run -> result."""
    results.mkdir(parents=True, exist_ok=True)
    for kind in ("overfit", "dry-run"):
        found: dict[str, Any] = {}
        for path in sorted((out / kind).glob(f"*/{kind}.json")):
            row = json.loads(path.read_text(encoding="utf-8"))
            row["hardware"].pop("host", None)
            found[path.parent.name] = row
        if kind == "overfit":
            found |= _unfinished(out / kind, found)
        if found:
            text = json.dumps(found, indent=1)
            (results / f"{kind}.json").write_text(text + "\n", encoding="utf-8")


def _unfinished(folder: Path, finished: Container[str]) -> dict[str, Any]:
    """Losses of interrupted runs from their logs; they have no metrics."""
    rows = {}
    for log in sorted(folder.glob("*/overfit.jsonl")):
        lines = log.read_text(encoding="utf-8").splitlines()
        losses = [json.loads(line)["loss"] for line in lines if line.endswith("}")]
        if losses and log.parent.name not in finished:
            sha = hashlib.sha256(log.read_bytes()).hexdigest()
            rows[log.parent.name] = {"unfinished": True, "log_sha256": sha, "losses": losses}
    return rows


def tables(results: Path = RESULTS) -> str:
    """Both files as Markdown tables, a line per run."""
    overfit, dry_runs = (_read(results / f"{kind}.json") for kind in ("overfit", "dry-run"))
    lines = [
        "| Run | Published, mm | Network (overfit in run) | Steps x samples | CPU s | Loss | MPJPE mm "
        "| PA-MPJPE mm | MPVPE mm | Seed, commit, log |",
        "| --- " * 10 + "|",
    ]
    for name in run_names():
        run = load_run(name)
        by = representative_run(run)
        row = overfit.get(by)
        description = f"{published_results(run)} | `{run.network}`" + ("" if by == name else f" (`{by}`)")
        if row is None:
            lines.append(f"| `{name}` | {description} | not run" + " |" * 7)
            continue
        if row.get("unfinished"):
            losses = row["losses"]
            lines.append(
                f"| `{name}` | {description} | {len(losses)}, cut off | - | {losses[0]:.4g} -> {losses[-1]:.3g} "
                f"| - | - | - | {run.seed}, log {row['log_sha256'][:8]} |"
            )
            continue
        errors = " | ".join(_before_after(row, metric) for metric in ("MPJPE", "PA-MPJPE", "MPVPE"))
        lines.append(
            f"| `{name}` | {description} | {_steps(row)} x {row['samples']} | {row['seconds']:.0f} "
            f"| {row['first_loss']:.4g} -> {row['last_loss']:.3g} | {errors} "
            f"| {row['seed']}, {row['git'].get('commit', '')[:8]}, {row['log_sha256'][:8]} |"
        )
    lines += [
        "",
        "| Run | M parameters | Loss of two steps | Step at batch 2, CPU s | Samples/s | Loader ms | Full run |",
        "| --- " * 7 + "|",
    ]
    for name in run_names():
        row = dry_runs.get(name)
        if row is None:
            lines.append(f"| `{name}` | not run" + " |" * 6)
            continue
        losses = " -> ".join(f"{loss:.4g}" for loss in row["losses"])
        lines.append(
            f"| `{name}` | {row['parameters'] / 1e6:.1f} | {losses} | {row['seconds']:.2f} "
            f"| {row['samples_per_second']:.2f} | {1000 * row['loading']:.0f} | {_short(row['estimate'])} |"
        )
    return "\n".join(lines)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _steps(row: dict[str, Any]) -> str:
    planned = row.get("planned", row["steps"])
    return f"{row['steps']}" + (f" (of {planned}, stopped)" if planned > row["steps"] else "")


def _short(estimate: str) -> str:
    return estimate.removeprefix("the whole run: ").removeprefix("its data are not here; ").split("; less")[0]


def _before_after(row: dict[str, Any], metric: str) -> str:
    after = row["metrics_after"].get(metric)
    return "-" if after is None else f"{row['metrics_before'][metric]:.0f} -> {after:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of results; resumes there")
    parser.add_argument("--only", dest="runs", nargs="+", default=[], metavar="RUN", help="these runs only")
    parser.add_argument("--minutes", type=float, default=4.0, help="of CPU time per network (4)")
    parser.add_argument("--steps", type=int, help="steps per network, in place of --minutes")
    parser.add_argument("--most", type=int, default=600, help="maximum number of steps (600)")
    parser.add_argument("--dry-runs", action="store_true", help="dry runs of all runs, instead of overfitting")
    parser.add_argument("--gather", action="store_true", help="only collect the results and print the tables")
    args = parser.parse_args()
    good = True
    if not args.gather:
        _import_all()
    if not args.gather and args.dry_runs:
        order = sorted(run_names(), key=lambda name: SECONDS[representative_run(load_run(name))])
        for name in args.runs or order:
            good &= run_one(name, "dry-run", ["--dry-run"], args.out)
            gather(args.out)
    elif not args.gather:
        for name in args.runs or SECONDS:
            steps = args.steps or steps_for(name, args.minutes, args.most)
            good &= run_one(name, "overfit", ["--overfit", str(steps)], args.out)
            gather(args.out)
    gather(args.out)
    if args.gather:
        print(tables())
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
