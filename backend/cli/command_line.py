"""Shared by `recover-mesh` and `python -m training`: commands, and how their errors are printed.  No torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from backend.errors import RecoverMeshError


def add_command(
    commands: Any,
    name: str,
    summary: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], int],
) -> None:
    """Add a command.  commands: what `ArgumentParser.add_subparsers` returns.  run: returns the exit code."""
    sub = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    add_arguments(sub)
    sub.set_defaults(run=run)


def run_command(args: argparse.Namespace, program: str, interrupted: str) -> int:
    """The command's exit code: 2 after a RecoverMeshError, 130 after ^C.  interrupted: text to print after ^C."""
    try:
        return args.run(args)
    except RecoverMeshError as error:
        print(f"{program}: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted; {interrupted}.", file=sys.stderr)
        return 130
