"""`recover-mesh models`: what can run here, and what is missing for the rest."""

from __future__ import annotations

import argparse

from backend.models.registry import DEFAULT_MODEL, available_models


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "state", "body", "licence of results", "what it is", box=None, pad_edge=False)
    for spec in available_models():
        state = "ready" if spec.ready else f"missing: {spec.hint}"
        mark = " (default)" if spec.name == DEFAULT_MODEL else ""
        table.add_row(spec.name + mark, state, spec.body, spec.license, spec.summary)
    Console().print(table)
    return 0
