"""`python -m training median`: the median over seeds of the metrics that `test` wrote."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.run.requirements import runs_root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="RUN", help="a run's name, or the folder of its seeds")


def run(args: argparse.Namespace) -> int:
    from training.engine.seed_medians import seed_medians

    folder = Path(args.name)
    rows = seed_medians(folder if folder.is_dir() else runs_root() / args.name)
    for row in rows:
        each = ", ".join(f"{seed} {value:.2f}" for seed, value in row.values.items())
        print(f"{row.metric}: median {row.median:.2f}, spread {row.spread:.2f} ({each})")
    return 0
