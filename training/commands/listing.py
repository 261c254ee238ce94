"""`python -m training list`: every run, its published numbers, and what is missing here to start it."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.run.requirements import data_root, missing
from training.run.spec import METRICS, Run, load_run, run_names

_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="*", metavar="RUN", help="these runs alone, with all that is missing")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the benchmarks ($RECOVER_MESH_DATA)")


def run(args: argparse.Namespace) -> int:
    root = data_root(args.data)
    for name in args.runs or run_names():
        entry = load_run(name)
        print(f"{entry.name}\n  {entry.title}")
        print(f"  published: {published_results(entry)}")
        lacking = missing(entry, root)
        if not lacking:
            print("  ready")
        shown = lacking if args.runs else lacking[:_SHOWN]
        for line in shown:
            print(f"  missing {line}")
        if len(lacking) > len(shown):
            print(f"  and {len(lacking) - len(shown)} more: python -m training list {name}")
    return 0


def published_results(entry: Run) -> str:
    """The published results in one line."""
    rows = []
    for row in entry.published.results:
        values = ", ".join(f"{name} {row[name]}" for name in METRICS if name in row)
        rows.append(f"{row['set']} ({row['protocol']}) {values}")
    return "; ".join(rows) or f"none ({entry.published.note})"
