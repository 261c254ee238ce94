"""What a person detector answers, and the interface that every detector fills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class DetectedPerson:
    """One person in one image.

    `keypoint_set` names the order of the K keypoints (`blazepose33`: MediaPipe's 33 landmarks; `freihand21`: a hand).
    """

    box: np.ndarray  # (4,) float32 x0 y0 x1 y1, px
    score: float  # 0..1
    keypoints2d: np.ndarray  # (K, 3) float32 x px, y px, visibility 0..1; may lie outside the image
    keypoints3d: (
        np.ndarray
    )  # (K, 3) float32 metres, origin between the hips, camera axes (x right, y down, z forward)
    keypoint_set: str
    side: str = ""  # of a hand: "left" or "right"
    around: np.ndarray | None = None  # (4,) `Region.array` in px: where to look in the next frame


class PersonDetector(Protocol):
    """Finds the people in an image.  Nobody is an empty list, not an error."""

    name: str

    def detect(self, image: np.ndarray, max_people: int | None = None) -> list[DetectedPerson]:
        """image: uint8 RGB (H, W, 3).  Returns people sorted by size in the picture, largest first."""
        ...
