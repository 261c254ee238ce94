"""`python -m training validate` and `test`: a run's metrics, each with its protocol, beside the published ones."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.commands.common import add_machine_arguments, add_run_arguments, load_run_from, require_ready
from training.run.requirements import data_root, missing_body, missing_data, run_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    add_machine_arguments(parser)
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="checkpoint, official or exported weights (the run's own)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="evaluate N batches only: not the benchmark's number")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    from training.commands.listing import published_results

    entry = load_run_from(args)
    root = data_root(args.data)
    lacking = missing_data(entry, root, train=False) + missing_body(entry)
    require_ready(entry, lacking)

    from training.engine.results import evaluate_run, write_results
    from training.engine.trainer import find_machines

    out = args.out or run_folder(entry)
    measured = evaluate_run(
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
    print(f"published: {published_results(entry)}")
    if args.command == "test":
        print(f"written: {write_results(out, entry, measured)}")
    return 0
