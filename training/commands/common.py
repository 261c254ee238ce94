"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.errors import BadInput
from training.run.spec import Run, load_run


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="RUN", help="a published run, or the path of a run file")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE",
        help="change a key of the run file, e.g. --set training.batch=8 (may be repeated)",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder of the benchmarks ($RECOVER_MESH_DATA, ./data)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write to (out/training/RUN/seed-N)")
    parser.add_argument("--seed", type=int, help="another seed than the run file's")


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--devices", type=int, metavar="N", help="processes on this node, one per GPU (1)")
    parser.add_argument("--nodes", type=int, metavar="N", help="nodes (1; torchrun and Slurm set it themselves)")


def load_run_from(args: argparse.Namespace) -> Run:
    """The run that the arguments name, with `--set` and `--seed` applied."""
    overrides = list(args.overrides)
    if args.seed is not None:
        overrides.append(f"seed={args.seed}")
    return load_run(args.name, overrides)


def require_ready(run: Run, lacking: list[str]) -> None:
    """Checks that a run can start.  lacking: lines of `requirements.missing`.

    Raises BadInput `run_not_ready` where files are missing; before that `bad_run`, where the run file is wrong: users
    must not learn that only after weeks of fetching data.
    """
    if lacking:
        from training.run.check import check_run

        check_run(run)
        raise BadInput(
            "run_not_ready",
            f"{run.name} cannot start here. Missing:\n  " + "\n  ".join(lacking) + "\n ",
            "docs/training.md says where each comes from; --data names the folder of the benchmarks.",
        )
