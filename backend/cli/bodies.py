"""`recover-mesh bodies`: list body models; `bodies import FILE` adds your own SMPL or MANO file."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    adding = actions.add_parser("import", help="check a body file and store a copy")
    adding.add_argument("file", type=Path, help="an SMPL-format .npz, or an official SMPL or MANO .pkl")
    adding.add_argument("--name", help="name of the body (the file's name)")
    adding.add_argument(
        "--with",
        dest="regressors",
        type=Path,
        nargs="+",
        default=[],
        metavar="NPY",
        help="official joint regressors: J_regressor_h36m_correct.npy, J_regressor_coco.npy, J_regressor_3dpw.npy",
    )


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from backend.body.registry import available_bodies

    if args.action == "import":
        from backend.body.loader import import_body

        spec = import_body(args.file, args.name, args.regressors)
        print(f"{spec.name}: stored as {spec.path}. Licence: {spec.license}")
        return 0
    table = Table("body", "licence", "file", box=None, pad_edge=False)
    for spec in available_bodies():
        table.add_row(spec.name, spec.license, str(spec.path))
    Console(soft_wrap=True).print(table)
    return 0
