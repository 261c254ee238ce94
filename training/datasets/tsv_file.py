"""METRO's TSV container: random access to rows by byte offset, and the images in them."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import BadInput
from training.datasets.image_sources import decode
from training.datasets.validation import DOWNLOAD_HINT, bad_file, bad_row, require

_HEAD = 1 << 24  # bytes at the start of a TSV in which all offsets are checked
_REINDEX = "Write it again: training.datasets.tsv.write_lineidx(path)."


def lineidx_path(tsv: Path) -> Path:
    return tsv.with_suffix(".lineidx")


def write_lineidx(tsv: Path) -> Path:
    """Writes the byte offset of every row -> the .lineidx file."""
    offsets, position = [], 0
    with tsv.open("rb") as file:
        for line in file:
            offsets.append(position)
            position += len(line)
    lineidx_path(tsv).write_text("".join(f"{offset}\n" for offset in offsets), "ascii")
    return lineidx_path(tsv)


class TsvFile:
    """Rows of a TSV by index.  Opened at the first read, so that each loader worker has its own handle.

    Raises BadInput `data_missing`, `bad_data_file`.
    """

    def __init__(self, path: Path) -> None:
        self.path = require(path)
        index = require(lineidx_path(path), f"Every TSV needs one. {_REINDEX}")
        try:
            self.offsets = np.array(index.read_bytes().split(), np.int64)
        except ValueError:
            raise bad_file(index, "does not have one byte offset per line", _REINDEX) from None
        self.size = path.stat().st_size
        if len(self.offsets) and (self.offsets[-1] >= self.size or (np.diff(self.offsets) <= 0).any()):
            raise bad_file(
                path,
                f"is cut off or does not belong to {index.name}: its last row would start at byte "
                f"{self.offsets.max():,} of {self.size:,}",
                f"{DOWNLOAD_HINT} If the TSV is complete: {_REINDEX}",
            )
        self._handle: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.offsets)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None}

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle is not None and handle[0] == os.getpid():
            os.close(handle[1])

    def row(self, row: int) -> list[bytes]:
        """Columns of a row.  Raises BadInput `bad_data_row` where it is not complete."""
        if not 0 <= row < len(self.offsets):
            raise bad_row(self.path, row, f"there is no such row, the file has {len(self.offsets):,}")
        start = int(self.offsets[row])
        end = int(self.offsets[row + 1]) if row + 1 < len(self.offsets) else self.size
        data = self._read(start, end - start)
        line = data.removesuffix(b"\n").removesuffix(b"\r")
        if len(data) != end - start or not line or b"\n" in line or (end < self.size and not data.endswith(b"\n")):
            raise bad_row(self.path, row, "there is not one row between the offsets of its .lineidx", _REINDEX)
        return line.split(b"\t")

    def _read(self, start: int, count: int) -> bytes:
        if self._handle is None or self._handle[0] != os.getpid():
            self._handle = (os.getpid(), os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))
        if hasattr(os, "pread"):
            return os.pread(self._handle[1], count, start)
        os.lseek(self._handle[1], start, os.SEEK_SET)
        return os.read(self._handle[1], count)

    def problems(self) -> Iterator[str]:
        """Problems of the offsets, and a note where the file does not end with a line feed."""
        if not len(self.offsets):
            yield f"{lineidx_path(self.path)} is empty."
            return
        if self.offsets[0] != 0:
            yield f"{lineidx_path(self.path)} starts at byte {self.offsets[0]:,}, expected 0. {_REINDEX}"
        wrong = self._wrong_offset()
        if wrong is not None:
            yield f"{lineidx_path(self.path)}, row {wrong}: not the offset of a row of {self.path.name}. {_REINDEX}"
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            ends_with_newline = file.read(1) == b"\n"
        if not ends_with_newline:
            yield f"note: {self.path} does not end with a line feed; its last row may be cut off."

    def _wrong_offset(self) -> int | None:
        """A row that does not start at its offset, or None; checks all in the file's head, 50 in the rest."""
        with self.path.open("rb") as file:
            head = file.read(_HEAD)
        starts = np.concatenate([[0], np.flatnonzero(np.frombuffer(head, np.uint8) == 10) + 1])
        starts = starts[starts < min(len(head), self.size)]
        listed = self.offsets[self.offsets < len(head)]
        common = min(len(starts), len(listed))
        if (starts[:common] != listed[:common]).any():
            return int(np.argmax(starts[:common] != listed[:common]))
        if len(starts) != len(listed):
            return common
        some = (
            np.unique(np.linspace(common, len(self.offsets) - 1, 50).astype(int)) if common < len(self.offsets) else []
        )
        return next((int(k) for k in some if self._read(int(self.offsets[k]) - 1, 1) != b"\n"), None)


@dataclass(frozen=True)
class TsvImage:
    """The base64 image in the last column of a row."""

    file: TsvFile
    row: int
    key: str

    def read(self) -> np.ndarray:
        """uint8 RGB (H, W, 3)."""
        columns = self.file.row(self.row)
        if decode_text(columns[0]) != self.key:
            raise key_mismatch(self.file.path, self.row, decode_text(columns[0]), self.key)
        try:
            data = base64.b64decode(columns[-1], validate=False)
        except (binascii.Error, ValueError):
            raise bad_row(self.file.path, self.row, "the image is not base64") from None
        return decode(data, self.file.path, self.row)


def key_mismatch(path: Path, row: int, actual: str, expected: str) -> BadInput:
    return bad_row(path, row, f"it is of {actual!r}, but the label of the same row is of {expected!r}")


def decode_text(data: bytes) -> str:
    """Text of bytes in UTF-8, or in Latin-1, as some names in old packs."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
