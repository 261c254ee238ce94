"""Who was in the whole clip: false finds dropped, people who were hidden or left and came back linked, tracks made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from backend.clips.records import Track
from backend.people.appearance import similarity
from backend.people.candidates import CORE, Candidate

LEAST_FRAMES = 3  # fewer sights, or a mean score below LEAST_SCORE, are a false find
LEAST_SCORE = 0.55
_ALIKE = 0.72  # clothes, to be the same person again
_NEAR = 3.0  # sizes away, after a short time
_SHORT = 1.0  # s
_LATEST = 60.0  # s after which nobody is linked
_GROWTH = (0.5, 2.0)  # sizes in the picture before and after a short gap

Arrays = dict[str, np.ndarray]


def identify(
    rows: Arrays,
    fps: float,
    *,
    merge: Sequence[Sequence[int]] = (),
    split: Sequence[tuple[int, int]] = (),
    read: int = LEAST_FRAMES,
) -> np.ndarray:
    """rows: `frame`, `person` (N,), `keypoints2d` (N, 33, 3), `scores` (N,), `looks` (N, SIZE), in the order of frames.

    merge: groups of ids that the user calls one person.  split: (id, frame): from there on it is another.  read: frames
    in all; in a clip of one frame one sight is enough.  -> (N,) ids; 0 where a find is false.  The user's word comes
    last and stays.
    """
    person = rows["person"].copy()
    for k in np.unique(person):
        mine = person == k
        if mine.sum() < min(LEAST_FRAMES, read) or rows["scores"][mine].mean() < LEAST_SCORE:
            person[mine] = 0
    _link(person, rows, fps)
    fresh = int(person.max(initial=0)) + 1
    for k, frame in split:
        later = (person == k) & (rows["frame"] >= frame)
        if later.any() and not later.all():
            person[later], fresh = fresh, fresh + 1
    for group in merge:
        person[np.isin(person, list(group))] = min(group, default=0)
    return _one_sight_per_frame(person, rows)


def _link(person: np.ndarray, rows: Arrays, fps: float) -> None:
    """Join pieces that follow each other and look like the same person, the surest pairs first."""
    while True:
        ids = [int(k) for k in np.unique(person) if k]
        pairs = [
            (cost, a, b)
            for a in ids
            for b in ids
            if a != b and (cost := _link_cost(person == a, person == b, rows, fps)) is not None
        ]
        if not pairs:
            return
        _, a, b = min(pairs)
        person[np.isin(person, (a, b))] = min(a, b)


def _link_cost(before: np.ndarray, after: np.ndarray, rows: Arrays, fps: float) -> float | None:
    """How unlike `after` is a continuation of `before`; None where it is none."""
    last, first = rows["frame"][before].max(), rows["frame"][after].min()
    if first <= last or (first - last) / fps > _LATEST:
        return None
    looks = similarity(rows["looks"][before].mean(0), rows["looks"][after].mean(0))
    if looks < _ALIKE:
        return None
    seconds = (first - last) / fps
    if seconds <= _SHORT:
        a, b = (
            Candidate(rows["keypoints2d"][w][i], np.zeros((33, 3)), 1.0)
            for w, i in ((before, -1), (after, 0))
        )
        size = max(min(a.size, b.size), 1.0)
        if a.distance(b) > _NEAR * size or not _GROWTH[0] < b.size / max(a.size, 1.0) < _GROWTH[1]:
            return None
    return 1 - looks + 0.02 * seconds


def _one_sight_per_frame(person: np.ndarray, rows: Arrays) -> np.ndarray:
    """Of two finds of one person in a frame the surer one stays."""
    order = np.lexsort((-rows["scores"], rows["frame"], person))
    same = (person[order][1:] == person[order][:-1]) & (rows["frame"][order][1:] == rows["frame"][order][:-1])
    person[order[1:][same]] = 0
    return person


def tracks_from_rows(rows: Arrays, person: np.ndarray, step: int) -> list[Track]:
    """One track per id but 0, who is most in the clip first: by size in the picture times the frames seen."""
    found: list[tuple[float, Track]] = []
    for k in np.unique(person):
        if k == 0:
            continue
        at = np.nonzero(person == k)[0]
        numbers = rows["frame"][at]
        frames = np.arange(numbers[0], numbers[-1] + 1, step)
        place = (numbers - numbers[0]) // step

        def spread(
            name: str, at: np.ndarray = at, place: np.ndarray = place, count: int = len(frames)
        ) -> np.ndarray:
            values = rows[name][at]
            out = np.zeros((count, *values.shape[1:]), values.dtype)
            out[place] = values
            return out

        seen = np.zeros(len(frames), bool)
        seen[place] = True
        size = np.median([_size(points) for points in rows["keypoints2d"][at]])
        track = Track(
            int(k),
            frames,
            seen,
            spread("boxes"),
            spread("scores"),
            spread("keypoints2d"),
            spread("keypoints3d"),
        )
        found.append((float(size) * len(at), track))
    return [track for _, track in sorted(found, key=lambda pair: (-pair[0], pair[1].id))]


def _size(points: np.ndarray) -> float:
    return Candidate(points, np.zeros((33, 3)), 1.0).size


def best_sight(track: Track) -> int:
    """The row that shows a person best: large, sure and whole."""
    seen = track.keypoints2d[:, CORE, 2].mean(1) * track.scores * track.seen
    heights = track.boxes[:, 3] - track.boxes[:, 1]
    return int(np.argmax(seen * np.sqrt(np.maximum(heights, 0))))


def thumbnails(
    tracks: Sequence[Track], picture: Callable[[int], np.ndarray | None], side: int = 96
) -> np.ndarray:
    """picture: frame number -> uint8 RGB (H, W, 3) or None.  -> (P, side, side, 3) uint8; grey where there is none."""
    import cv2

    out = np.full((len(tracks), side, side, 3), 128, np.uint8)
    for k, track in enumerate(tracks):
        row = best_sight(track)
        pixels = picture(int(track.frames[row]))
        if pixels is None:
            continue
        x0, y0, x1, y1 = track.boxes[row]
        half = max(x1 - x0, y1 - y0) * 0.6
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        height, width = pixels.shape[:2]
        left, top = int(np.clip(x - half, 0, width - 1)), int(np.clip(y - half, 0, height - 1))
        right, bottom = int(np.clip(x + half, left + 1, width)), int(np.clip(y + half, top + 1, height))
        crop = pixels[top:bottom, left:right]
        scale = side / max(crop.shape[:2])
        size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
        small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
        oy, ox = (side - small.shape[0]) // 2, (side - small.shape[1]) // 2
        out[k, oy : oy + small.shape[0], ox : ox + small.shape[1]] = small
    return out
