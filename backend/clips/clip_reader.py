"""Detections and provisional bodies of a clip, chunk by chunk; a chunk contains all the state that the next needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from backend.clips.prefetch import Prefetcher
from backend.media.clip import Clip
from backend.people.detect.change_detector import ChangeDetector
from backend.people.detect.clip_detector import ClipDetector
from backend.people.detect.mediapipe_detector import WORKING_SIDE
from backend.people.track.appearance import SIZE
from backend.people.track.tracker import Tracker
from backend.structures import Camera, DetectedPerson

CHUNK_FRAMES = 16  # few: bodies are shown early, and a crash loses little
Arrays = dict[str, np.ndarray]


class PreviewModel(Protocol):
    """Provisional bodies of a chunk's detections, warm-started from the chunk before.

    needs_pixels: `bodies` needs the full-size images; else it gets none.
    """

    needs_pixels: bool

    def bodies(self, detections: Arrays, pixels: list[np.ndarray], before: Arrays) -> Arrays:
        """poses (N, J, 3) rad, trans (N, 3) m, betas (N, B), confidence (N, J), reprojection_px (N,) of N detections;
        and arrays of detections that it refined, by their names.

        detections: `frame`, `person`, `image` (N,), and the arrays of `ClipReader.next_chunk`.  pixels: the chunk's
        images, by `image`.  before: the chunk before, {} for the first.
        """
        ...


class ClipReader:
    """Reads a clip from the first frame that the journal lacks.

    A chunk: `numbers` (M,) frames read; of N detections `frame`, `person` (N,), `boxes`, `scores`, `keypoints2d`,
    `keypoints3d`, `looks` (appearance embeddings) and the bodies of `PreviewModel`; `tracker.*`, `changes.*`, the
    states of tracker and change detector after it; `lost` (L,) texts, all that could not be read so far.
    """

    def __init__(
        self,
        clip: Clip,
        camera: Camera,
        detector: ClipDetector,
        preview: PreviewModel,
        last: Arrays | None,
        fps: float = 30.0,
        step: int = 1,
    ) -> None:
        """last: the journal's last chunk.  fps: of the clip.  step: every `step`-th frame is read."""
        self.lost: tuple[str, ...] = ()  # what could not be read so far, as sentences
        self._camera = camera
        self._detector = detector
        self._preview = preview
        self._last = last or {}
        tracker, changes = self._state("tracker."), self._state("changes.")
        self._tracker = Tracker.from_state(tracker, fps, step) if tracker else Tracker(fps, step)
        self._changes = ChangeDetector.from_state(changes) if changes else ChangeDetector()
        start = int(self._last["numbers"][-1]) + 1 if last else 0
        # where only the detector reads the pixels, frames of its working size are enough
        self._frames = Prefetcher(clip.frames(start, None if preview.needs_pixels else WORKING_SIDE), clip.lost)
        self._scanned = bool(last)

    def _state(self, prefix: str) -> Arrays:
        return {k.removeprefix(prefix): v for k, v in self._last.items() if k.startswith(prefix)}

    def close(self) -> None:
        """Close the clip's file."""
        self._frames.close()

    def next_chunk(self, on_frame: Callable[[int, str], None]) -> Arrays | None:
        """The next chunk (see the class), None at the end of the clip.

        on_frame: called with the number of frames done in this chunk and the stage that begins; may raise to cancel.
        """
        numbers: list[int] = []
        found: list[tuple[int, int, int, DetectedPerson, np.ndarray]] = []  # frame, person, image, detection, embedding
        images: list[np.ndarray] = []
        on_frame(0, "decode")
        while len(numbers) < CHUNK_FRAMES:
            frame = self._frames.next(lambda: on_frame(len(numbers), "decode"))
            if frame is None:
                break
            on_frame(len(numbers), "detect")
            ids, embeddings, people = self._detect(frame)
            found += [
                (frame.number, k, len(numbers), one, embedding)
                for k, one, embedding in zip(ids, people, embeddings, strict=True)
            ]
            numbers.append(frame.number)
            if self._preview.needs_pixels:
                images.append(frame.pixels)
            if len(numbers) < CHUNK_FRAMES:
                on_frame(len(numbers), "decode")
        self.lost = self._frames.lost
        if not numbers:
            return None
        on_frame(len(numbers), "fit")
        detections = _stack_detections(found)
        bodies = self._preview.bodies(detections, images, self._last)
        detections.pop("image")
        state = {f"tracker.{name}": value for name, value in self._tracker.state().items()}
        state |= {f"changes.{name}": value for name, value in self._changes.state().items()}
        lost = np.array(self.lost, dtype=str)
        self._last = {"numbers": np.array(numbers, np.int64), **detections, **bodies, **state, "lost": lost}
        return self._last

    def _detect(self, frame: Any) -> tuple[list[int], list[np.ndarray], list[DetectedPerson]]:
        """Track ids, appearance embeddings and detections of the people in a frame."""
        scale = frame.pixels.shape[1] / self._camera.width
        expected = self._tracker.predictions(frame.number)
        self._changes.update(frame.pixels)
        people = self._detector.detect_next(
            frame.pixels,
            expected,
            frame.number,
            scale=scale,
            full=not self._scanned,
            changes=self._changes,
        )
        self._scanned = True
        ids, embeddings = self._tracker.update(frame.number, frame.pixels, people, scale)
        return ids, embeddings, people


def _stack_detections(found: list[tuple[int, int, int, DetectedPerson, np.ndarray]]) -> Arrays:
    people = [row[3] for row in found]

    def stack(name: str, shape: tuple[int, ...]) -> np.ndarray:
        values = [np.asarray(getattr(one, name), np.float32) for one in people]
        return np.stack(values) if values else np.zeros((0, *shape), np.float32)

    ints = np.array([row[:3] for row in found], np.int64).reshape(-1, 3)
    return {
        "frame": ints[:, 0],
        "person": ints[:, 1],
        "image": ints[:, 2],
        "boxes": stack("box", (4,)),
        "scores": stack("score", ()),
        "keypoints2d": stack("keypoints2d", (33, 3)),
        "keypoints3d": stack("keypoints3d", (33, 3)),
        "looks": np.array([row[4] for row in found], np.float32).reshape(-1, SIZE),
    }
