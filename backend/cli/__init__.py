"""The command `recover-mesh`: parses, dispatches, prints errors.  `--help` must stay fast (no torch)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from backend import __version__
from backend.cli.command_line import add_command, run_command


def build_parser() -> argparse.ArgumentParser:
    """The parser of `recover-mesh` with all its commands."""
    from backend.cli import bodies, doctor, models, recover
    from backend.serving.options import add_serve_arguments

    parser = argparse.ArgumentParser(
        prog="recover-mesh", description="Photos and clips to rigged human bodies.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"recover-mesh {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add = partial(add_command, commands)
    add("recover", "Recover the people in photos and clips.", recover.add_arguments, recover.run)
    add("serve", "Serve the Blender add-on over ZeroMQ.", add_serve_arguments, _serve)
    add("models", "List the models and what they need.", models.add_arguments, models.run)
    add("bodies", "List body models, or import your own.", bodies.add_arguments, bodies.run)
    add("doctor", "Check this installation.", doctor.add_doctor_arguments, doctor.run_doctor)
    return parser


def _serve(args: argparse.Namespace) -> int:
    from backend.serving.server import run_serve

    return run_serve(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 all done, 1 something failed, 2 wrong use, 130 interrupted."""
    return run_command(build_parser().parse_args(argv), "recover-mesh", "finished results stay")


if __name__ == "__main__":
    raise SystemExit(main())
