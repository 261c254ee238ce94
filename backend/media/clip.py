"""An open clip, read from a video or an image sequence: its properties and its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class ClipInfo:
    """The properties of a clip.  width, height: px of the upright image.  frame_count: an estimate where not `exact`.

    first_number: number in the name of a sequence's first image; 1 for a video.
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
    """One frame of a clip.

    number: counted from 0.  time: s.  pixels: uint8 RGB (H, W, 3), upright, at most the clip's size.
    """

    number: int
    time: float
    pixels: np.ndarray


class Clip(Protocol):
    """An open clip.  `lost`: sentences on frames that could not be used, appended while frames are read."""

    info: ClipInfo
    lost: list[str]

    def frames(self, start: int = 0, long_side: int | None = None) -> Iterator[ClipFrame]:
        """The frames first, first + step, … to last, from number `start` on; their pixels do not depend on `start`.

        long_side: px; larger frames are scaled down to it.
        """
        ...
