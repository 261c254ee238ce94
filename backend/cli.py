"""The command `recover-mesh`: parses, dispatches, and turns errors into words.  `--help` must stay cheap (no torch)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from backend import __version__
from backend.errors import RecoverMeshError


def build_parser() -> argparse.ArgumentParser:
    from backend import doctor
    from backend.commands import bodies, models, recover
    from backend.serving import command as serve

    parser = argparse.ArgumentParser(
        prog="recover-mesh", description="Photos and clips to rigged human bodies.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"recover-mesh {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, summary: str, arguments, run) -> None:
        sub = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        arguments(sub)
        sub.set_defaults(run=run)

    add("recover", "Recover the people in photos and clips.", recover.add_arguments, recover.run)
    add("serve", "Serve the Blender add-on over ZeroMQ.", serve.add_serve_arguments, serve.run_serve)
    add("models", "List the models and what they need.", models.add_arguments, models.run)
    add("bodies", "List body models, or import your own.", bodies.add_arguments, bodies.run)
    add("doctor", "Check this installation.", doctor.add_doctor_arguments, doctor.run_doctor)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 everything done, 1 something could not be done, 2 wrong use, 130 interrupted."""
    args = build_parser().parse_args(argv)
    try:
        return args.run(args)
    except RecoverMeshError as error:
        print(f"recover-mesh: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("recover-mesh: interrupted; what was finished is kept.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
