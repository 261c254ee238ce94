"""A few rows of each benchmark in exactly its own files, made from the open body and hand: for tests and `--dry-run`.

`write(kind, folder)` writes a set -> what `training.datasets.registry.build_dataset` needs to read it.  The people in
them are those of `people.bodies` and `people.hands`, so that a test knows every number.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

_WRITERS = {
    "tsv": "metro", "tsv_hand": "metro", "tsv_mix": "metro", "human36m": "human36m", "muco": "coco_style",
    "coco": "coco_style", "eft": "fits", "mpii": "arrays", "spin": "arrays", "up3d": "fits", "pw3d": "pw3d",
    "pw3d_json": "pw3d", "amass": "arrays", "surreal": "surreal", "surreal_json": "surreal", "freihand": "freihand",
    "freihand_json": "freihand",
}  # fmt: skip
KINDS = tuple(_WRITERS)


def write(kind: str, folder: Path, count: int = 4, seed: int = 0) -> dict[str, Any]:
    """Write a tiny set of that kind into the folder -> the options to build it.  Deterministic."""
    module = importlib.import_module(f"training.datasets.tiny.{_WRITERS[kind]}")
    writer: Callable[[Path, int, int], dict[str, Any]] = getattr(module, f"write_{kind}")
    folder.mkdir(parents=True, exist_ok=True)
    return writer(folder, count, seed)
