"""Sets whose annotations are JSON: read once into columns of numpy, so that rows are cheap and workers share memory."""

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
_VERSION = 1  # of the columns' meaning; raise it when a reader changes what it keeps


class ColumnDataset(BaseDataset):
    """Rows held as columns of equal length; `key` names them.  file: what messages say."""

    def __init__(self, name: str, file: Path, columns: Columns) -> None:
        self.name, self.file, self.columns = name, file, columns

    def __len__(self) -> int:
        return len(self.columns["key"])

    def source(self, row: int) -> tuple[Path, object]:
        return self.file, str(self.columns["key"][row])


def stack_columns(rows: Sequence[dict[str, Any]], order: Callable[[dict[str, Any]], Any] | None, file: Path) -> Columns:
    """Rows of numbers and texts -> columns, sorted by `order`.  Numbers become float32 unless they are integers."""
    if not rows:
        raise bad_file(file, "has no row that can be used", "Every row lacks its fit, or was left out by the options.")
    if order is not None:
        rows = sorted(rows, key=order)
    columns = {}
    for key in rows[0]:
        column = np.array([row[key] for row in rows])
        columns[key] = column.astype(np.float32) if column.dtype == np.float64 else column
    return columns


def load_or_build(
    cache: str | Path | None, files: Sequence[Path], options: Any, make: Callable[[], Columns]
) -> Columns:
    """The columns out of a cache folder, or made and kept there; made each time where no folder is given.

    The name holds sizes and times of the files, so that a changed file is read again.
    """
    if cache is None:
        return make()
    stats = [(str(p), require(p).stat().st_size, p.stat().st_mtime_ns) for p in files]
    name = hashlib.sha256(repr((_VERSION, stats, options)).encode()).hexdigest()[:20]
    path = Path(cache) / f"{name}.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        except Exception:
            path.unlink()  # cut off by a full disk: made again below
    columns = make()
    with atomic_path(path) as temporary:
        np.savez(temporary, **columns)  # type: ignore[arg-type]
    return columns


def read_coco(path: Path) -> tuple[dict[Any, dict], list[dict]]:
    """COCO's layout -> images by id, annotations in the file's order."""
    content = read_json(path)
    images = field(content, "images", path, "-")
    annotations = field(content, "annotations", path, "-")
    return {field(image, "id", path, k): image for k, image in enumerate(images)}, annotations


def image_entry(annotation: dict, images: dict[Any, dict], file: Path, where: object) -> dict:
    """The image of an annotation, or BadInput."""
    return field(images, field(annotation, "image_id", file, where), file, f"{where} (image)")


def read_detections(path: Path, key: str, joints: int) -> dict[Any, np.ndarray]:
    """A list of {key, keypoints} -> key: (joints, 3) float32; a missing confidence is 1."""
    by_key = {}
    for k, item in enumerate(read_json(path)):
        by_key[field(item, key, path, k)] = keypoint_array(field(item, "keypoints", path, k), joints, path, k)
    return by_key


def keypoint_array(value: Any, joints: int, file: Path, where: object) -> np.ndarray:
    """Numbers by joint, x y and perhaps more -> (joints, 3) float32."""
    try:
        points = np.asarray(value, np.float32).reshape(joints, -1)
    except (TypeError, ValueError):
        raise bad_file(file, f"row {where}: keypoints are not {joints} joints") from None
    if points.shape[1] < 2:
        raise bad_file(file, f"row {where}: keypoints are not {joints} joints of x and y")
    confidence = points[:, 2:3] if points.shape[1] > 2 else np.ones((joints, 1), np.float32)
    return np.concatenate([points[:, :2], confidence], 1)


def plausible_betas(betas: np.ndarray) -> np.ndarray:
    """Betas of which any is beyond 3 are given up for the mean shape, as Pose2Mesh does."""
    return np.zeros_like(betas) if (np.abs(betas) > 3).any() else betas
