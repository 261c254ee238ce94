"""People in one frame of a clip: crops around tracked people, and scheduled searches for new ones.

The crops depend on nothing but the frame's number, the predicted poses and where the image changes: a resumed run gives
the same detections as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from backend.people.detect.candidates import Candidate, PredictedPose, merge
from backend.people.detect.change_detector import ChangeDetector
from backend.people.detect.limb_swaps import assemble_pose, suppress_swapped_limbs
from backend.people.detect.mediapipe_detector import MIN_SCORE, MediaPipeDetector, working_copy
from backend.people.detect.pose_networks import LandmarkReader, NetworkImage, PersonFinder, quiet
from backend.people.detect.region import Region
from backend.people.detect.tiles import tiles
from backend.structures import DetectedPerson

# Frames per search, a trade of time against how late a new person is found; origin not recorded
FULL_IMAGE_EVERY = 12  # of the whole image, while somebody is tracked
TILE_EVERY = 3  # of one tile, while somebody is tracked
IDLE_EVERY = 4  # of the whole image, while nobody is tracked; the other frames search a tile
# Set on the rendered clips of docs/results.md (*cross*, *occlusion*) with benchmarks/tracking.py, none held out
LOST_EVERY = 3  # frames per thorough search for a hidden person
RECENT = 0.7  # s for which a hidden person is searched in every frame
_SUSPECT_DISTANCE = 0.25  # `pose_distance` from which a pose may be partly another person's
_MIN_IMPROVEMENT = 0.08  # person sizes by which a further candidate must be nearer than the first
_SHIFT = 0.12  # of a region's side, by which it is moved away from others
_GATE = 0.8  # person sizes between a pose and its prediction
_DUPLICATE_DISTANCE = 0.3  # person sizes between two poses of one person
_THREADS = 2  # origin not recorded


class ClipDetector(MediaPipeDetector):
    """Detector for consecutive frames.  Not thread-safe; results do not depend on the order of its own threads."""

    def __init__(self) -> None:
        super().__init__()
        self._finder = PersonFinder()
        self._readers = [LandmarkReader() for _ in range(_THREADS)]
        self._pool = ThreadPoolExecutor(_THREADS, "landmarks")
        with quiet():  # the networks load, and log, with their first image
            empty = NetworkImage(np.zeros((64, 64, 3), np.uint8))
            self._finder.find(empty, 0, 0, 64, 64)
            for reader in self._readers:
                reader.read(empty, Region(32, 32, 64, 0.0))

    def close(self) -> None:
        self._pool.shutdown()
        self._finder.close()
        for reader in self._readers:
            reader.close()
        super().close()

    def detect_next(
        self,
        image: np.ndarray,
        predicted: Sequence[PredictedPose],
        number: int,
        *,
        scale: float = 1.0,
        full: bool = False,
        changes: ChangeDetector | None = None,
    ) -> list[DetectedPerson]:
        """People in px of the frame, largest first.

        image: uint8 RGB (H, W, 3), `scale` times the clip's frame.  predicted: poses of tracked people, px of the
        frame.  number: of the frame.  full: search everywhere, as in a photo.  changes: since the frame before.
        """
        image, smaller = working_copy(image)
        scale *= smaller
        if full:
            people = merge(self._candidates(image, False))
        else:
            followed = [one.scaled(scale) for one in predicted]
            people = self._detect_tracked(image, followed, number, changes)
        found = [self._person(one, scale) for one in people]
        found.sort(key=lambda p: -float(np.prod(p.box[2:] - p.box[:2])))
        return found

    def _detect_tracked(
        self, image: np.ndarray, predicted: list[PredictedPose], number: int, changes: ChangeDetector | None
    ) -> list[Candidate]:
        network_image = NetworkImage(image)
        seen = self._detect_predicted(network_image, predicted, number)
        found = [one for one in seen if one is not None]
        others = self._find_newcomers(network_image, predicted, found, number, changes)
        suppress_swapped_limbs(predicted, seen)
        return found + merge(others)

    def _detect_predicted(
        self, network_image: NetworkImage, predicted: list[PredictedPose], number: int
    ) -> list[Candidate | None]:
        """For each predicted pose its detection, or None."""
        seen_last_frame = [one.seen_last_frame for one in predicted]
        regions = [one.region for one, now in zip(predicted, seen_last_frame, strict=True) if now]
        answers = iter(self._read(network_image, regions))
        seen = [
            _if_plausible(next(answers), one) if now else None
            for one, now in zip(predicted, seen_last_frame, strict=True)
        ]
        _suppress_duplicates(predicted, seen)
        self._resolve_overlaps(network_image, predicted, seen)
        for k, one in enumerate(predicted):
            due = scheduled_slot(number + k, LOST_EVERY) == 0
            if seen[k] is None and (one.hidden < RECENT or due):
                others = [other for other in seen if other is not None]
                seen[k] = self._search(network_image, one, others, thoroughly=one.seen_last_frame or due)
        return seen

    def _resolve_overlaps(
        self, network_image: NetworkImage, predicted: list[PredictedPose], seen: list[Candidate | None]
    ) -> None:
        """Correct, in place, people close together, whose landmarks may jump to each other: each part of a pose comes
        from the nearest candidate of the first region, one moved away from the others, and newly found ones."""
        for k, one in enumerate(predicted):
            first = seen[k]
            if not one.seen_last_frame or (first is not None and one.pose_distance(first) < _SUSPECT_DISTANCE):
                continue
            near = [other for m, other in enumerate(predicted) if m != k and _regions_overlap(one.region, other.region)]
            if not near:
                continue
            redetected = self._finder.find(network_image, *self._crop(one))
            regions = [_shift_away(one.region, near), *(region for region in redetected if _same_region(region, one))]
            others = [other for m, other in enumerate(seen) if m != k and other is not None]
            plausible = [_if_plausible(other, one) for other in self._read(network_image, regions)]
            new = [other for other in plausible if other is not None and not _duplicates_any(other, others)]
            candidates = [*([] if first is None else [first]), *new]
            seen[k] = assemble_pose(one, candidates, _MIN_IMPROVEMENT) if candidates else None

    def _search(
        self, network_image: NetworkImage, one: PredictedPose, others: list[Candidate], thoroughly: bool
    ) -> Candidate | None:
        """Detection of a lost person in the predicted region; thoroughly: also in regions found around it."""

        def best(regions: list[Region]) -> Candidate | None:
            plausible = [_if_plausible(other, one) for other in self._read(network_image, regions)]
            new = [other for other in plausible if other is not None and not _overlaps_any(other, others)]
            return min(new, key=one.pose_distance, default=None)

        found = None if one.seen_last_frame else best([one.region])
        if found is None and thoroughly:
            x, y, width, height = self._crop(one)
            regions = self._finder.find(network_image, x, y, width, height)
            found = best([r for r in regions if not any(_same_region(r, other) for other in others)])
        # again, in the region of the found pose
        return None if found is None else best([found.region])

    def _find_newcomers(
        self,
        network_image: NetworkImage,
        predicted: list[PredictedPose],
        found: list[Candidate],
        number: int,
        changes: ChangeDetector | None,
    ) -> list[Candidate]:
        """New people, verified: in the whole image, in the scheduled tile, or in the window with most change."""
        width, height = network_image.width, network_image.height
        if scheduled_slot(number, FULL_IMAGE_EVERY if predicted else IDLE_EVERY) == 0:
            window = (0, 0, width, height)
        elif not predicted or scheduled_slot(number, TILE_EVERY) == 0:
            known = [one.box for one in found]
            moving = (
                changes.search_window(known, (width, height))
                if changes is not None and scheduled_slot(number, 2)
                else None
            )
            windows = tiles(width, height)
            if moving is None and not windows:
                return []
            window = moving or windows[scheduled_slot(number // TILE_EVERY, len(windows))]
        else:
            return []
        x, y, w, h = window
        regions = [
            r for r in self._finder.find(network_image, x, y, w, h) if not any(_same_region(r, one) for one in found)
        ]
        new = []
        for one in self._read(network_image, regions):
            if one is None or one.score <= MIN_SCORE or _overlaps_any(one, found):
                continue
            if (w, h) != (width, height):
                inside = ((one.points[:, :2] > (x, y)) & (one.points[:, :2] < (x + w, y + h))).all(1)
                if inside.mean() < 0.85 or one.size < 0.10 * w:  # as in `MediaPipeDetector._candidates`
                    continue
            again = self._verify_newcomer(network_image, one, found_whole=(w, h) == (width, height))
            if again is not None and not _overlaps_any(again, found):
                new.append(self._readers[0].read(network_image, again.region) or again)
        return new

    def _verify_newcomer(self, network_image: NetworkImage, one: Candidate, found_whole: bool) -> Candidate | None:
        """Second, more precise detection of a new person in the same place; None: a false detection.

        found_whole: in the whole image, where false detections are rarer than in tiles: a second run of the landmark
        network is then enough.
        """

        def same(again: list[Candidate | None], away: float) -> Candidate | None:
            sure = [o for o in again if o is not None and o.score > MIN_SCORE]
            near = [o for o in sure if o.distance(one) < away * one.size]
            return min(near, key=lambda other: other.distance(one), default=None)

        found = same(self._read(network_image, self._finder.find(network_image, *self._crop(one))), 0.25)
        if found is None and found_whole:
            found = same(self._read(network_image, [one.region]), 0.5)
        return found

    def _read(self, network_image: NetworkImage, regions: list[Region]) -> list[Candidate | None]:
        """For each region the landmarks in it, or None; regions are shared among threads."""
        if len(regions) < 2:
            return [self._readers[0].read(network_image, region) for region in regions]

        def share(k: int) -> list[Candidate | None]:
            return [self._readers[k].read(network_image, region) for region in regions[k::_THREADS]]

        answers: list[Candidate | None] = [None] * len(regions)
        for k, part in enumerate(self._pool.map(share, range(_THREADS))):
            answers[k::_THREADS] = part
        return answers


def _if_plausible(seen: Candidate | None, predicted: PredictedPose) -> Candidate | None:
    """`seen` if its score and its distance to the prediction allow it, else None."""
    if seen is None or seen.score <= MIN_SCORE or seen.distance(predicted) > _GATE * predicted.size:
        return None
    return seen


def _suppress_duplicates(predicted: list[PredictedPose], seen: list[Candidate | None]) -> None:
    """Suppress duplicates in place: of two detections of one pose, keep the one nearer to its prediction."""
    for k in range(len(seen)):
        for other in range(k):
            one, two = seen[k], seen[other]
            if one is None or two is None or one.distance(two) > _DUPLICATE_DISTANCE * max(one.size, two.size):
                continue
            worse = k if predicted[k].pose_distance(one) >= predicted[other].pose_distance(two) else other
            seen[worse] = None


def _duplicates_any(one: Candidate, found: list[Candidate]) -> bool:
    return any(one.distance(other) < _DUPLICATE_DISTANCE * max(one.size, other.size) for other in found)


def _regions_overlap(one: Region, other: Region) -> bool:
    """Whether the regions' middles are within half the larger side."""
    return bool(np.hypot(one.x - other.x, one.y - other.y) < 0.5 * max(one.side, other.side))


def _shift_away(region: Region, others: list[PredictedPose]) -> Region:
    """The region moved away from the nearest of the others, and smaller by as much."""
    nearest = min(others, key=lambda other: abs(other.region.x - region.x)).region
    away = -1.0 if nearest.x > region.x else 1.0
    return region.moved(np.array([away * _SHIFT * region.side, 0.0])).enlarged(1 - _SHIFT)


def _overlaps_any(one: Candidate, found: list[Candidate]) -> bool:
    return any(one.distance(other) < 0.5 * max(one.size, other.size) for other in found)


def _same_region(region: Region, one: Candidate) -> bool:
    """Whether a found region is that of a known detection.  Thresholds: origin not recorded."""
    own = one.region
    away = np.hypot(own.x - region.x, own.y - region.y)
    return bool(away < 0.12 * own.side and 0.6 < region.side / max(own.side, 1e-6) < 1.6)


def scheduled_slot(number: int, of: int) -> int:
    """Slot 0..of - 1 of frame `number`; each slot comes once in every block of `of` frames.

    The order is pseudorandom per block.  With a regular order, reading every n-th frame could meet the same slots for
    ever and miss others.
    """
    return (number + _mix_bits(number // of)) % of


def _mix_bits(value: int) -> int:
    """32 pseudorandom bits: mixing step of Steele, Lea, Flood, Fast splittable pseudorandom number generators, 2014."""
    value = (value + 1) * 0x9E3779B9 & 0xFFFFFFFF
    value = (value ^ value >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    value = (value ^ value >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return value ^ value >> 16
