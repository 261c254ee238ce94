"""Clips: videos and image sequences, frame by frame, upright, numbered as in Blender's timeline."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from backend.errors import BadInput
from backend.media.clip import Clip, ClipFrame, ClipInfo
from backend.media.image_sequence import SequenceClip, is_sequence

_DEFAULT_RATE = Fraction(25)  # of streams without a frame rate


def open_clip(
    source: str | Path,
    *,
    first: int = 0,
    last: int | None = None,
    step: int = 1,
    fps: Fraction | None = None,
) -> Clip:
    """The clip of a video file, a folder of images, or one image of a numbered sequence.

    first, last: range of frames, both included.  fps: of a sequence (default 24); a video has its own.
    Raises BadInput: file_missing, no_video, no_frames, no_pictures, bad_range, bad_step, and as `load_image` does.
    """
    path = Path(source)
    if step < 1:
        raise BadInput("bad_step", f"The step is {step}.", "Give 1 for every frame, 2 for every second one, …")
    if first < 0 or (last is not None and last < first):
        raise BadInput("bad_range", f"The range of frames {first} to {last} is empty.", "Give a first frame from 0 on.")
    if not path.exists():
        raise BadInput("file_missing", f"There is no file {path}.", "Check the name, or choose it again.")
    if is_sequence(path):
        return SequenceClip(path, first, last, step, fps or Fraction(24))
    return VideoClip(path, first, last, step)


class VideoClip:
    """A video file.

    Frame n is the decoded frame on screen at n / fps after the first: the last one whose time is not later, within half
    a frame, as times are rounded.  With a constant rate this is the n-th decoded frame.
    """

    def __init__(self, path: Path, first: int, last: int | None, step: int) -> None:
        self._path, self._first, self._last, self._step = path, first, last, step
        self.lost: list[str] = []
        with self._open() as container:
            stream = _video_stream(container, path)
            self._fps = _rate(stream)
            start = next(_decoded(container, stream), None)
            if start is None:
                raise BadInput(
                    "no_frames",
                    f"No frame of {path.name} can be decoded.",
                    "The file is damaged or cut off: copy or export it again.",
                )
            self._begin = _time(start)
            width, height = _size(start)
            codec = stream.codec_context.name
            count, exact = self._count(container, stream)
        self.info = ClipInfo(str(path), "video", width, height, self._fps, count, exact, 1, codec)
        if first >= count and exact:
            raise BadInput(
                "bad_range",
                f"The range begins at frame {first}, but {path.name} has {count} frames.",
                "Choose an earlier first frame.",
            )

    def _open(self) -> Any:
        try:
            return av.open(str(self._path))
        except av.error.FFmpegError as error:
            raise BadInput(
                "no_video",
                f"{self._path.name} is not a video that can be read ({error.strerror}).",
                "Use an mp4, mov, mkv or webm file; a cut-off mp4 may have to be exported again.",
            ) from None

    def _count(self, container: Any, stream: Any) -> tuple[int, bool]:
        """-> (number of frames, whether it is exact)."""
        duration = None
        if stream.duration is not None and stream.time_base is not None:
            duration = stream.duration * stream.time_base
        elif container.duration is not None:
            duration = Fraction(container.duration, av.time_base)
        by_time = 0 if duration is None else round(duration * self._fps)
        if stream.frames and abs(stream.frames - by_time) <= 1:
            return int(stream.frames), True
        return max(by_time or int(stream.frames), 1), bool(stream.frames)

    def frames(self, start: int = 0, long_side: int | None = None) -> Iterator[ClipFrame]:
        """See `Clip.frames`."""
        wanted = self._first + -(-max(start - self._first, 0) // self._step) * self._step
        with self._open() as container:
            stream = _video_stream(container, self._path)
            stream.thread_type = "AUTO"
            if wanted > self._fps and self._begin is not None:  # within the first second, decoding is faster
                found = self._seek(container, stream, wanted)
                if found is not None:
                    yield from self._numbered(found, wanted, long_side)
                    return
        with self._open() as container:
            stream = _video_stream(container, self._path)
            stream.thread_type = "AUTO"
            yield from self._numbered(_decoded(container, stream), wanted, long_side)

    def _seek(self, container: Any, stream: Any, wanted: int) -> Iterator[Any] | None:
        """Decoded frames from some time before frame `wanted` on; None where the file cannot be sought."""
        assert self._begin is not None
        for back in (1, 5):  # seconds: some files seek by decoding time, which is earlier
            start = self._begin + Fraction(wanted) / self._fps - back
            if start <= self._begin:
                return None
            try:
                container.seek(int(start / stream.time_base), stream=stream, backward=True)
                frames = _decoded(container, stream)
                one = next(frames)
            except (av.error.FFmpegError, StopIteration):
                return None
            time = _time(one)
            if time is not None and time <= self._begin + (wanted - Fraction(1, 2)) / self._fps:
                return itertools.chain([one], frames)
        return None

    def _numbered(self, decoded: Iterator[Any], wanted: int, long_side: int | None) -> Iterator[ClipFrame]:
        """The wanted frames of the stream, with their numbers."""
        shown: tuple[Any, Fraction] | None = None  # the frame on screen, and its time since the first
        number, order = 0, 0
        for one in decoded:
            if one is None:  # damaged here
                if shown is not None:
                    yield from self._show(shown, number, shown[1] + 1 / self._fps, wanted, long_side)
                shown = None
                continue
            time = _time(one)
            since = Fraction(order) / self._fps if time is None or self._begin is None else time - self._begin
            order += 1
            if shown is not None:
                yield from self._show(shown, number, since, wanted, long_side)
                number = max(number, self._number_at(since))
            else:
                gap = self._number_at(since)
                if gap > number and number > 0 and gap > wanted:
                    self._lose(number, gap - 1)
                number = max(number, gap)
            shown = (one, since)
            if self._last is not None and number > self._last:
                return
        if shown is not None:
            one, since = shown
            length = Fraction(one.duration or 0) * (one.time_base or 0)
            end = since + (length if 0 < length < 10 else 1 / self._fps)
            yield from self._show(shown, number, end, wanted, long_side)
            number = max(number + 1, self._number_at(end))
        expected = self.info.frame_count if self._last is None else min(self._last + 1, self.info.frame_count)
        if self.info.exact and number < expected - 1:
            name = f"{self._path.name} ends at frame {number} of {self.info.frame_count}"
            self._report_lost(f"{name}: the file is cut off or damaged there.")

    def _number_at(self, since: Fraction) -> int:
        """The first frame number at which a decoded frame of this time is on screen."""
        return max(int(-((-(since * self._fps - Fraction(1, 2))) // 1)), 0)

    def _show(
        self, shown: tuple[Any, Fraction], number: int, until: Fraction, wanted: int, long_side: int | None
    ) -> Iterator[ClipFrame]:
        """`shown` once for each wanted frame number at which it is on screen."""
        one, since = shown
        pixels = None
        for n in range(max(number, self._number_at(since)), self._number_at(until)):
            if n < wanted or (n - self._first) % self._step or (self._last is not None and n > self._last):
                continue
            if pixels is None:
                pixels = _upright(one, long_side)
                if _size(one) != (self.info.width, self.info.height):
                    self._report_lost(f"Frame {n} of {self._path.name} has another size and is left out.")
                    return
            yield ClipFrame(n, float(n / self._fps), pixels)

    def _lose(self, first: int, last: int) -> None:
        which = f"Frame {first}" if first == last else f"Frames {first} to {last}"
        self._report_lost(f"{which} of {self._path.name} cannot be decoded: the file is damaged there.")

    def _report_lost(self, sentence: str) -> None:
        if sentence not in self.lost:
            self.lost.append(sentence)


def _video_stream(container: Any, path: Path) -> Any:
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    raise BadInput("no_video", f"{path.name} contains no video.", "Choose a video file, or a sequence of images.")


def _rate(stream: Any) -> Fraction:
    for rate in (stream.guessed_rate, stream.average_rate):
        if rate is not None and 0 < rate <= 1000:
            return Fraction(rate)
    return _DEFAULT_RATE


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Frames in display order; None where data between two frames could not be decoded."""
    packets = container.demux(stream)
    started = False
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError):
            return  # the end, or the file is cut off
        try:
            frames = packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            if started:
                yield None
            continue
        started = started or bool(frames)
        yield from frames


def _time(frame: Any) -> Fraction | None:
    return None if frame.pts is None or frame.time_base is None else frame.pts * Fraction(frame.time_base)


def _quarter_turns(frame: Any) -> int:
    return round((frame.rotation or 0) / 90) % 4


def _size(frame: Any) -> tuple[int, int]:
    """Width and height of the upright image, px."""
    return (frame.height, frame.width) if _quarter_turns(frame) % 2 else (frame.width, frame.height)


def _upright(frame: Any, long_side: int | None = None) -> np.ndarray:
    """uint8 RGB (H, W, 3), upright, at most `long_side` px wide and high."""
    options: dict[str, Any] = {}
    scale = 1.0 if long_side is None else long_side / max(frame.width, frame.height)
    if scale < 1:  # scaled during the colour conversion, so that no full-size RGB image is allocated
        options = {"width": round(frame.width * scale), "height": round(frame.height * scale), "interpolation": "AREA"}
    pixels = frame.to_ndarray(format="rgb24", **options)
    quarter_turns = _quarter_turns(frame)
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns)) if quarter_turns else pixels
