"""Recovers a clip in steps, from its job file to its final motions; an interrupted run resumes from the journal.

run = ClipRun(job, recoverer)
while not run.over:
    for record in run.advance(on_progress):  # ClipChunk, ClipPeople
        ...
run.close()
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from backend.clips.clip_chunks import final_chunk, provisional_chunk
from backend.clips.clip_motions import finish, list_people
from backend.clips.clip_reader import ClipReader
from backend.clips.common_frame_preview import CommonFramePreview
from backend.clips.job_file import ClipJobFile
from backend.clips.journal import Arrays, Journal, JournalLock
from backend.clips.preview import preview_model
from backend.clips.results import Results
from backend.errors import BadInput
from backend.media.fingerprint import fingerprint
from backend.media.video import open_clip
from backend.models.keypoint_fit import KeypointFitModel
from backend.motion.camera_track import CameraTrack
from backend.recovery import DEFAULT_FOCAL_PER_LONG_SIDE, Recoverer
from backend.structures import Camera, ClipChunk, ClipPeople, ClipProgress, Motion, World

FINAL_FRAMES = 512  # frames in one final chunk
REPLAYED_CHUNKS = 8  # chunks of the journal in one step
READING_SHARE = 0.8  # of the total time, by experience; the motions take the rest
_RATE_SECONDS = 5.0  # window over which the speed is measured

OnProgress = Callable[[ClipProgress], None]


class ClipRun:
    """One run of a job; holds the clip, its journal and the folder's lock until `close`.

    Raises BadInput: what `open_clip` and `CameraTrack` raise, `job_running`, `hands_in_clips`.
    """

    def __init__(self, job: ClipJobFile, recoverer: Recoverer) -> None:
        self.job = job
        spec = recoverer.model.spec
        if spec.part != "body":
            raise BadInput(
                "hands_in_clips",
                f"The model {spec.name} recovers hands; clips need a model of the whole body.",
                "Choose another model, or recover single photos.",
            )
        self.model_name, self.body_name, self.license = spec.name, recoverer.model.body.name, spec.license
        self.notice = recoverer.model.notice
        self.body = recoverer.model.body
        self._clip = open_clip(job.source, first=job.first, last=job.last, step=job.step, fps=job.rate)
        self.info = self._clip.info
        if self.info.kind == "video":
            job = self.job = replace(job, fps="")  # a video has its own frame rate: the job's must not change the keys
        width, height = self.info.width, self.info.height
        focal = job.focal_px or DEFAULT_FOCAL_PER_LONG_SIDE * max(width, height)
        # frames are always read with this camera: then the journal is valid for any camera track
        self._reading_camera = Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
        self.camera = self._reading_camera  # of the results
        end = self.info.frame_count - 1 if job.last is None else min(job.last, self.info.frame_count - 1)
        self.camera_track: CameraTrack | None = None
        self._common_frame: CommonFramePreview | None = None
        if job.camera:
            self.camera_track = CameraTrack.load(Path(job.camera)).fitted(width, height, job.first, max(end, job.first))
            self.camera = self.camera_track.typical(width, height)
            self._common_frame = CommonFramePreview(self.body, self._reading_camera, self.camera_track, job.scene_scale)
        self._fingerprint = fingerprint(job.source)
        out = Path(job.out)
        self._lock = JournalLock(out)
        try:
            self._journal = Journal(out, job.clip_key, self._fingerprint)
        except BaseException:
            self._lock.release()
            raise
        camera_digest = "" if self.camera_track is None else f" {self.camera_track.digest}"
        self._results = Results(out, f"{job.clip_key} {job.motion_key} {self._fingerprint}{camera_digest}")
        self.finished_before = self._results.done
        self._recoverer = recoverer
        self._reader: ClipReader | None = None
        self._replayed = 0
        self._final: tuple[list[Motion], World] | None = None
        self._sent = 0  # clip frames that the final chunks have covered
        self._lost_reported = 0  # entries of `lost` that the chunks have contained
        self._rate_meter = _RateMeter()
        self.over = False
        last = self._journal.read(self._journal.count - 1) if self._journal.count else None
        self.resumed = _frames_done(last, job)
        self._frames_done = self.resumed
        # what could not be read of the clip, as sentences
        self.lost: list[str] = [] if last is None else [str(text) for text in last["lost"]]
        self.total = max((end - job.first) // job.step + 1, 1)

    @property
    def motions(self) -> list[Motion]:
        """The motions of all people; empty before the run is over."""
        return [] if self._final is None else self._final[0]

    @property
    def world(self) -> World:
        """The motions' world; the default one before the run is over."""
        return World() if self._final is None else self._final[1]

    @property
    def files(self) -> list[Path]:
        """The npz files of the people; empty before the run is over."""
        return self._results.files()

    def close(self) -> None:
        """Close the clip and release the lock.  The journal stays."""
        if self._reader is not None:
            self._reader.close()
        self._lock.release()

    def advance(self, on_progress: OnProgress) -> list[ClipChunk | ClipPeople]:
        """Do the next step; returns its records.  on_progress may raise to cancel: the next run repeats the step."""
        if self._final is None and self._replayed == 0 and self._results.done:
            return self._take_finished()
        if self._final is not None:
            return [self._next_final()]
        if self._replayed < self._journal.count:
            return [self._replay(on_progress)]
        if self._reader is None:
            last = self._journal.read(self._journal.count - 1) if self._journal.count else None
            preview = preview_model(self._recoverer, self._reading_camera)
            detector = self._recoverer.clip_detector()
            self._reader = ClipReader(
                self._clip, self._reading_camera, detector, preview, last, float(self.info.fps), self.job.step
            )
        chunk = self._read(on_progress)
        if chunk is not None:
            return [chunk]
        return self._finish(on_progress)

    # ---- reading -----------------------------------------------------------------------------------------

    def _replay(self, on_progress: OnProgress) -> ClipChunk:
        """Chunks that an earlier run finished."""
        until = min(self._replayed + REPLAYED_CHUNKS, self._journal.count)
        chunks = [self._journal.read(index) for index in range(self._replayed, until)]
        on_progress(self._progress("decode", _frames_done(chunks[-1], self.job)))
        self._replayed = until
        return self._provisional(chunks)

    def _read(self, on_progress: OnProgress) -> ClipChunk | None:
        assert self._reader is not None
        before = self._frames_done

        def on_frame(count: int, stage: str) -> None:
            on_progress(self._progress(stage, before + count))

        chunk = self._reader.next_chunk(on_frame)
        if chunk is None:  # damage at the clip's end is reported only now
            self.lost = list(dict.fromkeys([*self.lost, *self._reader.lost]))
            return None
        self._journal.append(chunk)
        self._replayed += 1
        self._frames_done = before + len(chunk["numbers"])
        self._rate_meter.tick(len(chunk["numbers"]))
        self.lost = [str(text) for text in chunk["lost"]]
        return self._provisional([chunk])

    def _progress(self, stage: str, done: int) -> ClipProgress:
        rate = self._rate_meter.rate
        left = max(self.total - done, 0) / rate / READING_SHARE if rate else 0.0
        fraction = min(READING_SHARE * done / self.total, READING_SHARE)
        return ClipProgress(stage, fraction, min(done, self.total), self.total, rate, left)

    def _provisional(self, chunks: list[Arrays]) -> ClipChunk:
        return provisional_chunk(chunks, self._common_frame, self._new_losses())

    def _new_losses(self) -> tuple[str, ...]:
        """The entries of `lost` that no chunk has contained yet."""
        new, self._lost_reported = tuple(self.lost[self._lost_reported :]), len(self.lost)
        return new

    # ---- finishing ---------------------------------------------------------------------------------------

    def _finish(self, on_progress: OnProgress) -> list[ClipChunk | ClipPeople]:
        def on_part(part: float) -> None:
            fraction = READING_SHARE + (1 - READING_SHARE) * part
            on_progress(ClipProgress("refine", fraction, self._frames_done, self.total))

        on_part(0.0)
        if not self._frames_done:
            raise BadInput(
                "no_frames",
                f"No frame of {Path(self.job.source).name} could be read.",
                "Check the clip and the range of frames.",
            )
        final = finish(
            self.job,
            self._journal,
            self.body,
            self._reading_camera,
            self.info.fps,
            not isinstance(self._recoverer.model, KeypointFitModel),
            on_part,
            self.camera_track,
        )
        labels = {"model": self.model_name, "body": self.body_name, "license": self.license}
        labels |= {"source": self.job.source, "notice": self.notice}
        self._results.write(*final, self.camera, self.info.fps, labels, self.lost)
        self._final = final
        return [self._people(), self._next_final()]

    def _take_finished(self) -> list[ClipChunk | ClipPeople]:
        self._final = self._results.read()
        if self._final is None:  # damaged: solve again from the journal
            self._results.forget()
            return []
        return [self._people(), self._next_final()]

    def _people(self) -> ClipPeople:
        kept = [motion.id for motion in self.motions]
        return list_people(self.job, self._journal, self._clip, kept, self.info.fps)

    def _next_final(self) -> ClipChunk:
        """The next FINAL_FRAMES frames of all people; the last chunk ends the run."""
        first = min((int(m.frames[0]) for m in self.motions), default=0) + self._sent
        last = max((int(m.frames[-1]) for m in self.motions), default=-1)
        self._sent += FINAL_FRAMES * self.job.step
        end = first + FINAL_FRAMES * self.job.step
        self.over = end > last
        return final_chunk(self.motions, self.world, first, end, self._new_losses())


def _frames_done(last: Arrays | None, job: ClipJobFile) -> int:
    """Number of frames in the journal whose last chunk is `last`."""
    return 0 if last is None else (int(last["numbers"][-1]) - job.first) // job.step + 1


class _RateMeter:
    """Speed of the work over the last _RATE_SECONDS."""

    def __init__(self) -> None:
        self._ticks: list[tuple[float, int]] = [(time.monotonic(), 0)]

    def tick(self, frames: int) -> None:
        now = time.monotonic()
        self._ticks.append((now, frames))
        while len(self._ticks) > 2 and now - self._ticks[1][0] > _RATE_SECONDS:
            self._ticks.pop(0)

    @property
    def rate(self) -> float:
        """Frames per second, 0 while unknown."""
        seconds = self._ticks[-1][0] - self._ticks[0][0]
        return sum(frames for _, frames in self._ticks[1:]) / seconds if seconds > 0 else 0.0
