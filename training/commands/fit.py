"""`python -m training fit`: train a run, go on with it, or try it without data."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.commands.common import add_machine_arguments, add_run_arguments, refuse_if_missing, run_of
from training.requirements import data_root, missing_body, missing_data, missing_start, out_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    add_machine_arguments(parser)
    parser.add_argument(
        "--resume", nargs="?", const="auto", default="no", metavar="FILE",
        help="go on from the latest checkpoint of the run's folder (or from FILE); begins where there is none",
    )  # fmt: skip
    parser.add_argument(
        "--from", dest="start", type=Path, metavar="FILE", help="start weights in place of the run's own"
    )
    parser.add_argument(
        "--dry-run", action="store_true",
        help="no data needed: two steps on generated files, and how long the real run would take",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    entry = run_of(args)
    if args.dry_run:
        from training.engine.dry_run import dry_run

        print(dry_run(entry, args.out))
        return 0
    root = data_root(args.data)
    lacking = missing_data(entry, root) + missing_body(entry)
    if args.start is None and args.resume == "no":
        lacking += missing_start(entry, root)
    refuse_if_missing(entry, lacking)

    from training.engine.checkpoints import PREEMPTED, find_checkpoint
    from training.engine.fitting import fit
    from training.engine.trainer import find_machines

    out = args.out or out_of(entry)
    done = fit(
        entry,
        root,
        out,
        find_machines(args.devices, args.nodes),
        checkpoint=find_checkpoint(out, args.resume),
        begin=args.resume == "no",
        start_file=args.start,
        quiet=args.quiet,
    )
    return 0 if done else PREEMPTED
