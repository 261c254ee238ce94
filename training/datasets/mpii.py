"""MPII Human Pose in the files of HMR and SPIN: train.h5 (or valid.h5) with center, imgname, part (16, 2) px and scale.

The MATLAB original is not needed.  2D only.  Skipped: people with fewer than two labelled joints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from training.datasets.column_dataset import ColumnDataset, Columns, load_or_build, stack_columns
from training.datasets.image_sources import ImageFile
from training.datasets.record import Record
from training.datasets.validation import bad_file, numbers, require


class Mpii(ColumnDataset):
    """One of MPII's files.  path: the h5 file.  images: folder of the images."""

    def __init__(self, path: str | Path, images: str | Path, cache: str | None = None) -> None:
        self.path, self.images = Path(path), Path(images)
        super().__init__("mpii", self.path, load_or_build(cache, [self.path], "mpii", lambda: _columns(self.path)))

    def read(self, row: int) -> Record:
        at = {key: column[row] for key, column in self.columns.items()}
        visible = (at["part"] > 0).all(1)
        return Record(
            key=str(at["key"]), dataset="mpii", joint_set="mpii16", image=ImageFile(self.images / str(at["image"])),
            center=at["center"], side=200 * float(at["scale"]),
            joints2d=np.concatenate([at["part"], visible[:, None]], 1, dtype=np.float32),
        )  # fmt: skip


def _columns(file: Path) -> Columns:
    try:
        with h5py.File(require(file), "r") as content:
            parts: dict[str, Any] = {key: content[key][:] for key in ("center", "imgname", "part", "scale")}
    except (OSError, KeyError) as error:
        raise bad_file(file, f"is not an h5 file with center, imgname, part and scale ({error})") from None
    count = len(parts["imgname"])
    part = numbers(parts, "part", (count, 16, 2), file, "-")
    center, scale = numbers(parts, "center", (count, 2), file, "-"), numbers(parts, "scale", (count,), file, "-")
    rows = [
        {"key": f"{k}", "image": _name(parts["imgname"][k]), "part": part[k], "center": center[k], "scale": scale[k]}
        for k in range(count)
        if (part[k] > 0).sum() >= 4
    ]
    return stack_columns(rows, None, file)


def _name(value: Any) -> str:
    """A file name as text; files have bytes, or rows of character codes padded with zeros."""
    if isinstance(value, np.ndarray):
        value = bytes(int(c) for c in value if c)
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
