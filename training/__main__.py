"""`python -m training`: parses, dispatches, and turns errors into words.  `list` must stay cheap: no torch."""

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
        ("fit", "Train a run, or go on with it.", fit),
        ("validate", "Measure weights on a run's validation sets.", validate),
        ("test", "The same, every metric of every protocol, written as JSON.", validate),
        ("check-data", "Say what is wrong with the copy of the data that a run reads.", check_data),
        ("export", "Make weights for `recover-mesh recover --model` of a run's checkpoint.", export),
        ("median", "The median over seeds of a run's metrics.", median),
    ):
        add_command(commands, name, summary, module.add_arguments, module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 problems found, 2 wrong use or data, 75 preempted (start again with --resume), 130 ^C."""
    return run_command(build_parser().parse_args(argv), "training", "go on with --resume")


if __name__ == "__main__":
    raise SystemExit(main())
