"""`python -m training validate` and `test`: a run's metrics, each with its protocol, beside the published ones."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.commands.common import add_machine_arguments, add_run_arguments, refuse_if_missing, run_of
from training.run.requirements import data_root, missing_body, missing_data, out_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    add_machine_arguments(parser)
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="checkpoint, official file or ours; else the run's own"
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="look at N batches only: not the benchmark's number"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    from training.commands.listing import numbers

    entry = run_of(args)
    root = data_root(args.data)
    lacking = missing_data(entry, root, train=False) + missing_body(entry)
    refuse_if_missing(entry, lacking)

    from training.engine.results import measure, write_results
    from training.engine.trainer import find_machines

    out = args.out or out_of(entry)
    measured = measure(
        entry,
        root,
        out,
        find_machines(args.devices, args.nodes),
        args.weights,
        limit=args.limit,
        quiet=args.quiet,
    )
    for name, value in measured.metrics.items():
        print(f"{name}: {value:.2f}")
    print(f"published: {numbers(entry)}")
    if args.command == "test":
        print(f"written: {write_results(out, entry, measured)}")
    return 0
