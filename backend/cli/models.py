"""`recover-mesh models`: list the models and what they lack, import official weights, remove them."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.errors import BadInput
from backend.models.registry import DEFAULT_MODEL, available_models, get_model
from backend.models.spec import NETWORKS, network


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="every model, and what is missing (the default)", allow_abbrev=False)
    showing = actions.add_parser("show", help="everything about one model", allow_abbrev=False)
    showing.add_argument("name", metavar="NAME")
    adding = actions.add_parser("import", help="check and convert an official weights file", allow_abbrev=False)
    adding.add_argument("name", metavar="NAME", help="the network that the file is for")
    adding.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the official checkpoint")
    adding.add_argument(
        "--with",
        dest="files",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="other official files that it needs, or their folders (the checkpoint's own folder counts too)",
    )
    adding.add_argument("--body", metavar="NAME", help="the body that the weights belong to, see `bodies`")
    adding.add_argument(
        "--test-weights",
        action="store_true",
        help="no FILE: make random weights, to test an installation; their results are nonsense",
    )
    adding.add_argument("--seed", type=int, default=0, help="of the test weights (0)")
    removing = actions.add_parser("remove", help="delete imported weights", allow_abbrev=False)
    removing.add_argument("name", metavar="NAME")


def run(args: argparse.Namespace) -> int:
    return {"show": _show, "import": _import, "remove": _remove}.get(args.action, _list)(args)


def _list(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    ready = Table("ready", "body", "licence of results", "what it is", box=None, pad_edge=False)
    missing = Table("not ready", "what is missing, and where to get it", box=None, pad_edge=False)
    for spec in available_models():
        if spec.ready:
            mark = " (default)" if spec.name == DEFAULT_MODEL else " (test weights)" if spec.testing else ""
            ready.add_row(spec.name + mark, spec.body, spec.license, spec.summary)
        else:
            missing.add_row(spec.name, spec.hint)
    console.print(ready)
    if missing.row_count:
        console.print()
        console.print(missing)
    return 0


def _show(args: argparse.Namespace) -> int:
    spec = get_model(args.name)
    rows = {"name": spec.name, "label": spec.label, "body": spec.body, "licence": spec.license}
    if any(entry.name == args.name for entry in NETWORKS):
        entry = network(args.name)
        rows |= {
            "input": entry.input,
            "outputs": entry.outputs,
            "joints": entry.joints,
            "published (mm)": entry.published,
            "official file": entry.source,
            "also needs": ", ".join(entry.needs) or "nothing",
        }
    rows["state"] = ("ready (test weights)" if spec.testing else "ready") if spec.ready else spec.hint
    for key, value in rows.items():
        print(f"{key + ':':16}{value}")
    return 0


def _import(args: argparse.Namespace) -> int:
    network(args.name)  # an unknown name fails before the slow imports
    if args.test_weights == (args.file is not None):
        raise BadInput(
            "bad_usage",
            "Give either the official checkpoint FILE, or --test-weights.",
            f"For example: recover-mesh models import {args.name} FILE.",
        )
    from backend.models.weights import import_weights, make_test_weights

    if args.test_weights:
        path, card = make_test_weights(args.name, seed=args.seed, body=args.body)
    else:
        path, card = import_weights(args.name, args.file, body=args.body, files=args.files)
    print(f"{card.name}: stored as {path}")
    print(f"  body: {card.body}. {card.notes}".rstrip())
    print(f"  licence: {card.license}")
    return 0


def _remove(args: argparse.Namespace) -> int:
    from backend.models.weights_files import weights_path

    network(args.name)
    path = weights_path(args.name)
    if not path.is_file():
        raise BadInput("weights_missing", f"There are no imported weights of {args.name}.", "Nothing was deleted.")
    path.unlink()
    print(f"{args.name}: deleted {path}")
    return 0
