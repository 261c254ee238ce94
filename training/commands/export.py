"""`python -m training export`: a run's checkpoint as weights for `recover-mesh recover --model`."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from training.commands.common import add_run_arguments, load_run_from
from training.run.requirements import data_root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="the run's best or latest by default")
    parser.add_argument("--install", action="store_true", help="also install them for `recover-mesh`, replacing others")


def run(args: argparse.Namespace) -> int:
    from backend.atomic import atomic_path
    from backend.models.weights_files import weights_path
    from training.engine.results import export_checkpoint

    entry = load_run_from(args)
    path = export_checkpoint(entry, data_root(args.data), args.out, args.checkpoint)
    print(f"weights: {path}")
    if args.install:
        if path.stem != entry.network:
            from backend.errors import BadInput

            hint = "Export the run that builds on it."
            raise BadInput("not_a_model", f"{path.name} is only a part of a network.", hint)
        with atomic_path(weights_path(entry.network)) as temporary:
            shutil.copyfile(path, temporary)
        print(f"installed: recover-mesh recover PHOTO --model {entry.network}")
    return 0
