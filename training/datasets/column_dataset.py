"""Data sets whose annotations are parsed once into numpy columns: cheap rows, memory shared by workers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.atomic import atomic_path
from training.datasets.base import BaseDataset
from training.datasets.validation import bad_file, field, read_json, require

Columns = dict[str, np.ndarray]
_VERSION = 2  # of the columns' names and meaning; increment it when a reader changes them


class ColumnDataset(BaseDataset):
    """Rows as columns of equal length; `key` names a row.  file: named in messages."""

    def __init__(self, name: str, file: Path, columns: Columns) -> None:
        self.name, self.file, self.columns = name, file, columns

    def __len__(self) -> int:
        return len(self.columns["key"])

    def subject(self, row: int) -> str:
        """Empty for benchmarks that name no subjects."""
        return ""

    def source(self, row: int) -> tuple[Path, object]:
        return self.file, str(self.columns["key"][row])


def stack_columns(rows: Sequence[dict[str, Any]], order: Callable[[dict[str, Any]], Any] | None, file: Path) -> Columns:
    """Columns of rows of numbers and texts, sorted by `order`; float64 becomes float32.  Raises BadInput if empty."""
    if not rows:
        raise bad_file(file, "has no usable row", "All rows lack a fit, or are excluded by the options.")
    if order is not None:
        rows = sorted(rows, key=order)
    columns = {}
    for key in rows[0]:
        column = np.array([row[key] for row in rows])
        columns[key] = column.astype(np.float32) if column.dtype == np.float64 else column
    return columns


def load_or_build(
    cache: str | Path | None, files: Sequence[Path | None], options: Any, make: Callable[[], Columns]
) -> Columns:
    """The columns from the cache folder, else from `make` and then cached; without a folder always from `make`.

    The cache's name depends on sizes and times of `files`, so that a changed file is read again.
    """
    if cache is None:
        return make()
    stats = [(str(p), require(p).stat().st_size, p.stat().st_mtime_ns) for p in files if p is not None]
    name = hashlib.sha256(repr((_VERSION, stats, options)).encode()).hexdigest()[:20]
    path = Path(cache) / f"{name}.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        except Exception:
            path.unlink()  # corrupt, e.g. after a full disk: built again below
    columns = make()
    with atomic_path(path) as temporary:
        np.savez(temporary, **columns)  # type: ignore[arg-type]
    return columns


def read_coco(path: Path) -> tuple[dict[Any, dict], list[dict]]:
    """Images by id, and annotations in the file's order, of a file in COCO's layout."""
    content = read_json(path)
    images = field(content, "images", path, "-")
    annotations = field(content, "annotations", path, "-")
    return {field(image, "id", path, k): image for k, image in enumerate(images)}, annotations


def image_entry(annotation: dict, images: dict[Any, dict], file: Path, where: object) -> dict:
    """The image entry of an annotation.  Raises BadInput `bad_data_row`."""
    return field(images, field(annotation, "image_id", file, where), file, f"{where} (image)")


def read_detections(path: Path, key: str, joints: int) -> dict[Any, np.ndarray]:
    """Keypoints (joints, 3) float32 by `key`, of a file with a list of {key, keypoints}; see `keypoint_array`."""
    by_key = {}
    for k, item in enumerate(read_json(path)):
        by_key[field(item, key, path, k)] = keypoint_array(field(item, "keypoints", path, k), joints, path, k)
    return by_key


def keypoint_array(value: Any, joints: int, file: Path, where: object) -> np.ndarray:
    """Keypoints (joints, 3) float32: x y, confidence (1 where the file has none).  Raises BadInput `bad_data_file`."""
    try:
        points = np.asarray(value, np.float32).reshape(joints, -1)
    except (TypeError, ValueError):
        raise bad_file(file, f"row {where}: keypoints are not {joints} joints") from None
    if points.shape[1] < 2:
        raise bad_file(file, f"row {where}: keypoints are not {joints} joints of x and y")
    confidence = points[:, 2:3] if points.shape[1] > 2 else np.ones((joints, 1), np.float32)
    return np.concatenate([points[:, :2], confidence], 1)


def plausible_betas(betas: np.ndarray) -> np.ndarray:
    """The betas; zeros where any exceeds 3 standard deviations, as in Pose2Mesh."""
    return np.zeros_like(betas) if (np.abs(betas) > 3).any() else betas
