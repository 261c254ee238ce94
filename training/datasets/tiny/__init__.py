"""Generated files with a few rows of each benchmark, in its own format, for tests and `--dry-run`.

The people are `people.bodies` and `people.hands`, so that a test can compute every number.
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
    """Writes a tiny data set of that kind into `folder` -> its table for `build_dataset`.  Deterministic."""
    module = importlib.import_module(f"training.datasets.tiny.{_WRITERS[kind]}")
    writer: Callable[[Path, int, int], dict[str, Any]] = getattr(module, f"write_{kind}")
    folder.mkdir(parents=True, exist_ok=True)
    return writer(folder, count, seed)
