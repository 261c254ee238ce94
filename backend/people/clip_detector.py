"""People in one frame of a clip: close looks where they should be, and now and then a look around for others.

What is looked at depends on the frame's number and on who is expected, on nothing else: a run that is resumed sees what
an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.people.candidates import Candidate, merge
from backend.people.mediapipe_detector import MIN_SCORE, MediaPipeDetector, working_copy
from backend.people.person import DetectedPerson
from backend.people.tiles import tiles

WHOLE_EVERY = 12  # frames between looks at the whole picture
TILE_EVERY = 3  # frames between looks at one tile
ALONE_EVERY = 4  # frames between looks at the whole picture while nobody is there


class ClipDetector(MediaPipeDetector):
    """Not thread-safe; see `MediaPipeDetector`."""

    def detect_next(
        self, image: np.ndarray, expected: Sequence[Candidate], number: int, *, full: bool = False
    ) -> list[DetectedPerson]:
        """image: uint8 RGB (H, W, 3).  expected: poses, in px of the image, where people should be.  number: of the
        frame.  full: look everywhere, as for a photo.  Returns people, largest first."""
        if full:
            return self.detect(image)
        image, scale = working_copy(image)
        height, width = image.shape[:2]
        found = []
        for one in expected:
            points = one.points.copy()
            points[:, :2] = (points[:, :2] + 0.5) * scale - 0.5
            near = Candidate(points, one.world, one.score)
            again = self._near(image, near)
            if again is not None:
                found.append(again)
        due = turn(number, WHOLE_EVERY if expected else ALONE_EVERY) == 0
        if due or len(found) < len(expected):
            for one in self._look(image, 0, 0, width, height):
                if not any(one.distance(other) < 0.5 * max(one.size, other.size) for other in found):
                    found.append(self._verify(image, one) or one)
        found += self._around(image, found, number)
        people = [self._person(one, scale) for one in merge([one for one in found if one.score > MIN_SCORE])]
        people.sort(key=lambda p: -float(np.prod(p.box[2:] - p.box[:2])))
        return people

    def _near(self, image: np.ndarray, one: Candidate) -> Candidate | None:
        """The person who is expected here, further off than `_verify` allows: people move."""
        again = self._look(image, *self._crop(one))
        same = [other for other in again if other.distance(one) < 0.8 * one.size]
        return min(same, key=lambda other: other.distance(one), default=None)

    def _around(self, image: np.ndarray, found: list[Candidate], number: int) -> list[Candidate]:
        """One tile in turn: whoever is small in the picture is found within some seconds."""
        if turn(number, TILE_EVERY):
            return []
        height, width = image.shape[:2]
        places = tiles(width, height)
        if not places:
            return []
        x, y, w, h = places[turn(number // TILE_EVERY, len(places))]
        new = []
        for one in self._look(image, x, y, w, h):
            inside = ((one.points[:, :2] > (x, y)) & (one.points[:, :2] < (x + w, y + h))).all(1)
            if inside.mean() < 0.85 or one.size < 0.10 * w:
                continue
            if any(one.distance(other) < 0.5 * max(one.size, other.size) for other in found):
                continue
            verified = self._verify(image, one)
            if verified is not None:
                verified.score *= 0.95
                new.append(verified)
        return new


def turn(number: int, of: int) -> int:
    """0..of - 1: whose turn it is in frame `number`; each has one in every block of `of` frames.

    The order differs from block to block as if by chance.  With a fixed order, or one that moves on evenly, some step
    between the frames that are read meets the same turns for ever: every 12th frame is never the one that 12 wait for.
    """
    return (number + _mixed(number // of)) % of


def _mixed(value: int) -> int:
    """32 bits that look random: Steele, Lea, Flood, Fast splittable pseudorandom number generators, 2014 (the mixing
    step, for 32 bits)."""
    value = (value + 1) * 0x9E3779B9 & 0xFFFFFFFF
    value = (value ^ value >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    value = (value ^ value >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return value ^ value >> 16
