"""`python -m training check-data`: validation problems of the data sets that a run reads."""

from __future__ import annotations

import argparse

from training.commands.common import add_run_arguments, load_run_from
from training.run.requirements import data_root, missing_data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("--most", type=int, default=200, metavar="N", help="rows to check per set (200); 0: all")


def run(args: argparse.Namespace) -> int:
    entry = load_run_from(args)
    root = data_root(args.data)
    problems = [f"missing {line}" for line in missing_data(entry, root)]
    if not problems:
        from training.run.build_data import check_datasets
        from training.run.check import check_run

        check_run(entry)
        problems = check_datasets(entry, root, args.most or None)
    for line in problems:
        print(line)
    serious = [line for line in problems if not line.startswith("note: ")]
    print(f"{entry.name}: {len(serious)} problem(s)" if serious else f"{entry.name}: no problems in the data")
    return 1 if serious else 0
