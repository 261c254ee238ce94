"""An open clip, whatever it is read from: what it says of itself, and its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class ClipInfo:
    """width, height: px of the upright picture.  frame_count: estimate where not `exact`.

    first_number: number in the name of a sequence's first picture; 1 for a video.
    """

    source: str
    kind: str  # video, sequence
    width: int
    height: int
    fps: Fraction
    frame_count: int
    exact: bool
    first_number: int
    codec: str


@dataclass(frozen=True)
class ClipFrame:
    """number: counted from 0.  time: s.  pixels: uint8 RGB (H, W, 3), upright, perhaps smaller than the clip's."""

    number: int
    time: float
    pixels: np.ndarray


class Clip(Protocol):
    """An open clip.  `lost` grows while frames are read: what could not be used, in sentences."""

    info: ClipInfo
    lost: list[str]

    def frames(self, start: int = 0, long_side: int | None = None) -> Iterator[ClipFrame]:
        """Frames first, first + step, … to last; those before `start` are skipped, the rest is bit by bit the same.

        long_side: px; larger frames come smaller.
        """
        ...
