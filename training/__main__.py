"""The command line of `python -m training`.  Importing it must not import torch, so that `list` stays fast."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from backend.cli.command_line import add_command, run_command


def build_parser() -> argparse.ArgumentParser:
    from training.commands import check_data, export, fit, listing, median, validate

    parser = argparse.ArgumentParser(
        prog="python -m training", description="The published training runs, headless.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary, module in (
        ("list", "Every run, its published numbers, and what is missing here to start it.", listing),
        ("fit", "Train a run, or resume it.", fit),
        ("validate", "Evaluate weights on a run's validation sets.", validate),
        ("test", "The same, with every metric written as JSON.", validate),
        ("check-data", "Check the data sets that a run reads.", check_data),
        ("export", "Export a run's checkpoint as weights for `recover-mesh recover --model`.", export),
        ("median", "The median over seeds of a run's metrics.", median),
    ):
        add_command(commands, name, summary, module.add_arguments, module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 problems found, 2 wrong use or data, 75 preempted (start again with --resume), 130 ^C."""
    return run_command(build_parser().parse_args(argv), "training", "continue with --resume")


if __name__ == "__main__":
    raise SystemExit(main())
