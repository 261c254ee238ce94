"""Validation of a user's data: readers that report file and row, and checks of records."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import BadInput
from training.datasets.record import Record

DOWNLOAD_HINT = "Download the file again, or run `python -m training check-data` for all problems."


def bad_row(file: str | Path, row: object, what: str, hint: str = DOWNLOAD_HINT) -> BadInput:
    """The error for an unusable row.  row: an index, a key or an id, by which users find it in the file."""
    return BadInput("bad_data_row", f"{file}, row {row}: {what}.", hint)


def bad_file(file: str | Path, what: str, hint: str = DOWNLOAD_HINT) -> BadInput:
    return BadInput("bad_data_file", f"{file} {what}.", hint)


class ErrorCollector:
    """Collects the errors of many rows: `with problems:` around each row, then `problems.raise_if_any()`.

    So all bad rows of a copy are reported at once, at most `limit`.
    """

    def __init__(self, limit: int = 20) -> None:
        self.limit = limit
        self.errors: list[BadInput] = []

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, BadInput) or error.code == "refused_pickle":  # not a corrupt row: raise it at once
            return False
        self.errors.append(error)
        if len(self.errors) >= self.limit:
            self.raise_if_any()
        return True

    def raise_if_any(self) -> None:
        if len(self.errors) > 1:
            more = " ..." if len(self.errors) >= self.limit else ""
            lines = "\n  ".join(error.message for error in self.errors)
            raise BadInput(self.errors[0].code, f"{lines}{more}", self.errors[0].hint)
        if self.errors:
            raise self.errors[0]


def require(path: Path, hint: str = "") -> Path:
    """The path, if it exists.  Raises BadInput `data_missing`."""
    if not path.exists():
        raise BadInput("data_missing", f"There is no {path}.", hint or "Check the data folder in the run's file.")
    return path


def read_json(path: Path) -> Any:
    """The content of a JSON file.  Raises BadInput where it is missing, truncated or not JSON."""
    data = require(path).read_bytes()
    if data[:30].startswith(b"version https://git-lfs"):
        raise bad_file(path, "is a git-lfs placeholder, not the file itself")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise bad_file(path, f"is not complete JSON ({error})") from None


def field(row: Any, key: str, file: str | Path, where: object) -> Any:
    """row[key].  Raises BadInput with the missing key."""
    try:
        return row[key]
    except (KeyError, TypeError, IndexError):
        raise bad_row(file, where, f"lacks {key!r}") from None


def _without_unit_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def numbers(
    row: Any, key: str, shape: tuple[int, ...], file: str | Path, where: object, dtype: Any = np.float32
) -> np.ndarray:
    """row[key] as an array of finite numbers of `shape`, -1 for any length.  Raises BadInput with file, row and key.

    Flat lists and axes of length 1 are reshaped; a transposed array is an error.
    """
    value = field(row, key, file, where)
    try:
        array = np.asarray(value, np.float64)
        flat = array.ndim <= 1 or _without_unit_axes(array.shape) == _without_unit_axes(shape)
        array = array.reshape(shape) if flat and array.size == np.prod(shape) else array
    except (TypeError, ValueError):
        raise bad_row(file, where, f"{key!r} is not an array of numbers of shape {shape}") from None
    if array.ndim != len(shape) or any(w not in (-1, n) for n, w in zip(array.shape, shape, strict=True)):
        raise bad_row(file, where, f"{key!r} has shape {np.shape(value)}, expected {shape}")
    if not np.isfinite(array).all():
        raise bad_row(file, where, f"{key!r} contains NaN or infinite values")
    return array.astype(dtype)


def gender_of(value: Any) -> str:
    """`male`, `female` or `neutral`, by the first letter of a benchmark's label."""
    return {"m": "male", "f": "female"}.get(str(value)[:1].lower(), "neutral")


_SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "center": ((2,),), "box": ((4,),), "pose": ((72,), (48,)), "betas": ((10,),), "trans": ((3,),), "camera": ((4,),),
    "weak_camera": ((3,),),
}  # fmt: skip


def validate_record(record: Record, file: str | Path, row: object) -> Record:
    """The record, if its shapes are right and all numbers finite.  Raises BadInput `bad_data_row`."""
    from training.datasets.joint_sets import JOINT_SETS

    count = len(JOINT_SETS[record.joint_set].names)
    joints = {"joints2d": (count, 3), "joints3d": (count, 4)}
    for name in (*_SHAPES, *joints, "detected2d"):
        value = getattr(record, name)
        if value is None:
            continue
        shapes = (joints[name],) if name in joints else _SHAPES.get(name)
        if shapes is not None and value.shape not in shapes:
            raise bad_row(file, row, f"{name} has shape {value.shape}, expected {shapes[0]}")
        if not np.isfinite(value).all():
            raise bad_row(file, row, f"{name} contains NaN or infinite values")
    if record.center is not None and not 0 < record.side < 1e5:
        raise bad_row(file, row, f"the person's box has a side of {record.side} px")
    return record


def count_note(count: int, official: int | None, what: str) -> Iterable[str]:
    """A note where the number of rows is not the official one: no error, since subsets are allowed."""
    if official is not None and count != official:
        yield f"note: {what} has {count:,} rows; the official one has {official:,}."
