"""`python -m training fit`: train or resume a run, or try it without data."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.errors import BadInput
from training.commands.common import add_machine_arguments, add_run_arguments, load_run_from, require_ready
from training.run.requirements import data_root, missing_body, missing_data, missing_initial_weights, run_folder
from training.run.spec import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    add_machine_arguments(parser)
    parser.add_argument(
        "--resume", nargs="?", const="auto", default="no", metavar="FILE",
        help="resume from the latest checkpoint of the run's folder (or from FILE); from step 0 where there is none",
    )  # fmt: skip
    parser.add_argument(
        "--from", dest="start", type=Path, metavar="FILE", help="initial weights in place of the run's own"
    )
    parser.add_argument(
        "--dry-run", action="store_true",
        help="no data needed: two steps on generated files, and how long the real run would take",
    )  # fmt: skip
    parser.add_argument(
        "--overfit", type=positive_steps, metavar="N",
        help="overfit the full network on one fixed batch of two samples (PoseNet alone: eight) in N steps.  No data "
        "needed: generated files and the open body, or your own data with --data.  As the run, except: random weights, "
        "no augmentation, no dropout, a learning rate that rises for 10 steps and falls in the last half.  Writes "
        "overfit.json (loss and errors in mm, before and after) and overfit.jsonl",
    )  # fmt: skip
    parser.add_argument(
        "--rate-factor", type=float, metavar="F",
        help="with --overfit: factor on the run's learning rates (default: by network family)",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    entry = load_run_from(args)
    if args.rate_factor is not None and args.overfit is None:
        raise BadInput("bad_usage", "--rate-factor needs --overfit.", "Set settings.learning_rate.")
    if args.dry_run and args.overfit is None:
        from training.engine.dry_run import dry_run

        print(dry_run(entry, args.out))
        return 0
    if args.overfit is not None:
        return overfit_one_batch(args, entry)
    root = data_root(args.data)
    lacking = missing_data(entry, root) + missing_body(entry)
    if args.start is None and args.resume == "no":
        lacking += missing_initial_weights(entry, root)
    require_ready(entry, lacking)

    from training.engine.checkpoints import PREEMPTED, find_checkpoint
    from training.engine.fit import fit
    from training.engine.trainer import find_machines

    out = args.out or run_folder(entry)
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


def overfit_one_batch(args: argparse.Namespace, entry: Run) -> int:
    """Runs `--overfit` -> exit code.  Raises BadInput `bad_usage` for options that exclude it."""
    others = {"--resume": args.resume != "no", "--from": args.start, "--dry-run": args.dry_run}
    others |= {"--devices": args.devices, "--nodes": args.nodes}
    wrong = [name for name, given in others.items() if given]
    if wrong:
        raise BadInput(
            "bad_usage",
            f"--overfit and {wrong[0]} exclude each other: it starts from random weights, in one process.",
            f"Leave {wrong[0]} out.",
        )
    if args.data is not None:
        require_ready(entry, missing_data(entry, args.data) + missing_body(entry))
    from training.engine.overfit import overfit

    out = args.out or run_folder(entry) / "overfit"
    print(overfit(entry, args.overfit, out, root=args.data, factor=args.rate_factor))
    print(f"  written: {out / 'overfit.json'}")
    return 0


def positive_steps(text: str) -> int:
    """`text` as a number of steps, 1 or more."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of steps")
    return int(text)
