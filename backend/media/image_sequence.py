"""A sequence of numbered images as a clip: frame n is the image whose number is n higher than the first's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from backend.errors import BadInput
from backend.media.clip import ClipFrame, ClipInfo
from backend.media.photo import load_image

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
_NUMBERED = re.compile(r"^(.*?)(\d+)$")


def is_sequence(path: Path) -> bool:
    """True for a folder or an image file, False for a video."""
    return path.is_dir() or path.suffix.lower() in SUFFIXES


def sequence_files(path: Path) -> list[tuple[int, Path]]:
    """(number, file), by number, of the sequence in a folder or of the sequence that an image file belongs to.

    In a folder with several sequences or unnumbered images, all are numbered from 0 in the order of their names.
    Raises BadInput `no_pictures`.
    """
    folder = path if path.is_dir() else path.parent
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if path.is_dir():
        parts = [_split(file) for file in files]
        stems = {part[0] for part in parts if part is not None}
        if len(stems) > 1 or None in parts:
            return list(enumerate(files))
        found = [(part[1], file) for part, file in zip(parts, files, strict=True) if part is not None]
    else:
        own = _split(path)
        if own is None:
            return [(0, path)]
        found = [
            (part[1], file)
            for file in files
            if (part := _split(file)) is not None and part[0] == own[0] and file.suffix.lower() == path.suffix.lower()
        ]
    if not found:
        raise BadInput(
            "no_pictures",
            f"The folder {folder} contains no images.",
            f"Known endings: {', '.join(sorted(SUFFIXES))}.",
        )
    return sorted(found)


def _split(path: Path) -> tuple[str, int] | None:
    match = _NUMBERED.match(path.stem)
    return None if match is None else (match[1], int(match[2]))


class SequenceClip:
    """See `backend.media.clip.Clip`.  A missing or unreadable image is skipped, and `lost` names it."""

    def __init__(self, path: Path, first: int, last: int | None, step: int, fps: Fraction) -> None:
        files = sequence_files(path)
        begin = files[0][0]
        self._files = {number - begin: file for number, file in files}
        self._first, self._last, self._step = first, last, step
        self.lost: list[str] = []
        count = files[-1][0] - begin + 1
        if first >= count:
            raise BadInput(
                "bad_range",
                f"The range begins at frame {first}, but the sequence has {count}.",
                "Choose an earlier first frame.",
            )
        height, width = load_image(files[0][1]).pixels.shape[:2]
        kind = files[0][1].suffix.lower().lstrip(".")
        self.info = ClipInfo(str(path), "sequence", width, height, fps, count, True, begin, kind)

    def frames(self, start: int = 0, long_side: int | None = None) -> Iterator[ClipFrame]:
        """See `backend.media.clip.Clip.frames`."""
        end = self.info.frame_count - 1
        last = end if self._last is None else min(self._last, end)
        for number in range(self._first, last + 1, self._step):
            if number < start:
                continue
            file = self._files.get(number)
            if file is None:
                self._lose(f"Image {number + self.info.first_number} of the sequence is missing.")
                continue
            try:
                pixels = load_image(file).pixels
            except BadInput as error:
                self._lose(error.message)
                continue
            if pixels.shape[:2] != (self.info.height, self.info.width):
                size = f"{pixels.shape[1]} x {pixels.shape[0]}"
                expected = f"{self.info.width} x {self.info.height}"
                self._lose(f"{file.name} has {size} pixels, the first image has {expected}: it is left out.")
                continue
            yield ClipFrame(number, float(number / self.info.fps), _shrunk(pixels, long_side))

    def _lose(self, sentence: str) -> None:
        if sentence not in self.lost:
            self.lost.append(sentence)


def _shrunk(pixels: np.ndarray, long_side: int | None) -> np.ndarray:
    """The image scaled down to at most `long_side` px wide and high."""
    height, width = pixels.shape[:2]
    scale = 1.0 if long_side is None else long_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (round(width * scale), round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
