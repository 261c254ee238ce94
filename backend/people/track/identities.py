"""People of a whole clip: false detections dropped, tracklets linked, the user's edits applied, tracks made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from backend.people.detect.candidates import CORE, Candidate
from backend.people.track.tracklet_linking import link_tracklets
from backend.structures import Track

# A tracklet with fewer detections or a lower mean score is false.  First values, origin not recorded
MIN_FRAMES = 3
MIN_MEAN_SCORE = 0.55
# Set on clip *occlusion* of docs/results.md: half-hidden people are detected as small whole poses
_EDGE = 1 / 6  # s before and after an occlusion in which such poses are dropped
_SHRINK_RATIO = 0.75  # of the size just before or after; smaller poses are dropped

Arrays = dict[str, np.ndarray]


def identify(
    detections: Arrays,
    fps: float,
    *,
    merge: Sequence[Sequence[int]] = (),
    split: Sequence[tuple[int, int]] = (),
    edits: Sequence[tuple[str, int, int, int]] = (),
    read: int = MIN_FRAMES,
) -> np.ndarray:
    """(N,) final ids of detections, 0 where one is false.

    detections: `frame`, `person` (N,), `keypoints2d` (N, 33, 3), `scores` (N,), `looks` (N, SIZE) appearance
    embeddings, sorted by frame.
    merge: groups of ids that the user calls one person.  split: (id, frame): from that frame on it is another person.
    edits: later ones, see `apply_edits`.  read: number of frames, which bounds MIN_FRAMES.  The user's edits come last.
    """
    person = detections["person"].copy()
    for k in np.unique(person):
        mine = person == k
        if mine.sum() < min(MIN_FRAMES, read) or detections["scores"][mine].mean() < MIN_MEAN_SCORE:
            person[mine] = 0
    _trim(person, detections, fps)
    person = link_tracklets(person, detections, fps)
    fresh = int(person.max(initial=0)) + 1
    for k, frame in split:
        later = (person == k) & (detections["frame"] >= frame) & (person > 0)
        if later.any() and not later.all():
            person[later], fresh = fresh, fresh + 1
    for group in _merge_groups(merge):
        person[np.isin(person, list(group))] = min(group)
    return _one_detection_per_frame(apply_edits(person, detections["frame"], edits), detections)


def apply_edits(person: np.ndarray, frames: np.ndarray, edits: Sequence[tuple[str, int, int, int]]) -> np.ndarray:
    """(N,) ids after the user's edits, applied in order, each to the ids that the one before left.

    person: (N,) ids.  frames: (N,).  ("merge", id, other, 0): `other` becomes `id`.  ("split", id, frame, new): from
    that frame on `id` becomes `new`; a person who had the id `new` gets a fresh one.  Unknown ids change nothing.
    """
    person = person.copy()
    for kind, one, second, new in edits:
        if kind == "merge" and one > 0 and second > 0:
            person[person == second] = one
        elif kind == "split" and one > 0 and new > 0:
            if new != one:
                person[person == new] = max(int(person.max(initial=0)), new) + 1
            person[(person == one) & (frames >= second)] = new
    return person


def _trim(person: np.ndarray, detections: Arrays, fps: float) -> None:
    """Drop detections of half-hidden people at occlusions, in place: the network gives them as small whole poses.

    One or two missed frames while a person reappears belong to the occlusion.  The clip's ends are not occlusions.
    """
    read = np.unique(detections["frame"])
    step = int(np.diff(read).min(initial=np.iinfo(np.int64).max)) if len(read) > 1 else 1
    edge = max(1, round(_EDGE * fps / step))
    for k in np.unique(person[person > 0]):
        at = np.nonzero(person == k)[0]
        numbers = detections["frame"][at]
        for run in np.split(np.arange(len(at)), np.nonzero(np.diff(numbers) > edge * step)[0] + 1):
            if len(run) < 3 * edge:
                continue
            for side in (run, run[::-1]):
                if numbers[side[0]] in (read[0], read[-1]):
                    continue
                sizes = np.array([_size(points) for points in detections["keypoints2d"][at[side[: 2 * edge]]]])
                small = np.nonzero(sizes[:edge] < _SHRINK_RATIO * np.median(sizes[edge:]))[0]
                if len(small):
                    person[at[side[: small[-1] + 1]]] = 0


def _merge_groups(groups: Sequence[Sequence[int]]) -> list[set[int]]:
    """The groups, with those that share an id united; 0 stands for no person and is left out."""
    merged: list[set[int]] = []
    for group in groups:
        one = {k for k in group if k > 0}
        shared = [other for other in merged if other & one]
        merged = [other for other in merged if not other & one] + [one.union(*shared)]
    return [group for group in merged if group]


def _one_detection_per_frame(person: np.ndarray, detections: Arrays) -> np.ndarray:
    """The ids, in place; of two detections of one person in a frame, that of the lower score becomes 0."""
    order = np.lexsort((-detections["scores"], detections["frame"], person))
    same = (person[order][1:] == person[order][:-1]) & (
        detections["frame"][order][1:] == detections["frame"][order][:-1]
    )
    person[order[1:][same]] = 0
    return person


def tracks_from_detections(detections: Arrays, person: np.ndarray, step: int) -> list[Track]:
    """One track per id but 0, sorted by size in the image times number of detections.  step: frames between rows."""
    found: list[tuple[float, Track]] = []
    for k in np.unique(person):
        if k == 0:
            continue
        at = np.nonzero(person == k)[0]
        numbers = detections["frame"][at]
        frames = np.arange(numbers[0], numbers[-1] + 1, step)
        row = (numbers - numbers[0]) // step

        def spread(name: str, at: np.ndarray = at, row: np.ndarray = row, count: int = len(frames)) -> np.ndarray:
            values = detections[name][at]
            out = np.zeros((count, *values.shape[1:]), values.dtype)
            out[row] = values
            return out

        seen = np.zeros(len(frames), bool)
        seen[row] = True
        size = np.median([_size(points) for points in detections["keypoints2d"][at]])
        fields = (spread(name) for name in ("boxes", "scores", "keypoints2d", "keypoints3d"))
        track = Track(int(k), frames, seen, *fields)
        found.append((float(size) * len(at), track))
    return [track for _, track in sorted(found, key=lambda pair: (-pair[0], pair[1].id))]


def _size(points: np.ndarray) -> float:
    return Candidate(points, np.zeros((33, 3)), 1.0).size


def best_row(track: Track) -> int:
    """The row that shows the person best: large, with high score and visibility."""
    seen = track.keypoints2d[:, CORE, 2].mean(1) * track.scores * track.seen
    heights = track.boxes[:, 3] - track.boxes[:, 1]
    return int(np.argmax(seen * np.sqrt(np.maximum(heights, 0))))


def thumbnails(tracks: Sequence[Track], read_frame: Callable[[int], np.ndarray | None], side: int = 96) -> np.ndarray:
    """(P, side, side, 3) uint8 RGB; grey where `read_frame` (frame number -> uint8 RGB (H, W, 3)) gives None."""
    import cv2

    out = np.full((len(tracks), side, side, 3), 128, np.uint8)
    for k, track in enumerate(tracks):
        row = best_row(track)
        pixels = read_frame(int(track.frames[row]))
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
