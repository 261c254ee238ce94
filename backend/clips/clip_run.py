"""A clip from its job file to its final motions, step by step; every step may be the last, and the next run goes on.

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

import numpy as np

from backend.clips.clip_motions import ClipMotions, finish, list_people
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
from backend.protocol_rows import ROWS
from backend.recovery import DEFAULT_FOCAL_PER_LONG_SIDE, Recoverer
from backend.structures import Camera, ClipChunk, ClipPeople, ClipProgress, Motion, World

FINAL_FRAMES = 512  # rows of time in one final chunk
REPLAYED_CHUNKS = 8  # of the journal, in one step
READING_SHARE = 0.8  # of the whole time, by experience; the rest smooths
_RATE_SECONDS = 5.0  # over which the frame rate is measured

OnProgress = Callable[[ClipProgress], None]


class ClipRun:
    """Opens the clip and its journal.

    Raises BadInput: what `open_clip` and `CameraTrack` raise, `job_running`, `hands_in_clips`.
    """

    def __init__(self, job: ClipJobFile, recoverer: Recoverer) -> None:
        self.job = job
        spec = recoverer.model.spec
        if spec.part != "body":
            raise BadInput(
                "hands_in_clips",
                f"The model {spec.name} recovers hands; clips are recovered with models of the whole body.",
                "Choose another model, or recover single pictures.",
            )
        self.model_name, self.body_name, self.license = spec.name, recoverer.model.body.name, spec.license
        self.notice = recoverer.model.notice
        self.body = recoverer.model.body
        self._clip = open_clip(job.source, first=job.first, last=job.last, step=job.step, fps=job.rate)
        self.info = self._clip.info
        if self.info.kind == "video":
            job = self.job = replace(job, fps="")  # it has its own, what is given changes nothing
        width, height = self.info.width, self.info.height
        focal = job.focal_px or DEFAULT_FOCAL_PER_LONG_SIDE * max(width, height)
        # frames are always read with this one, whatever is known of the camera's way: the journal then serves any
        self._reading_camera = Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
        self.camera = self._reading_camera  # of the results
        end = self.info.frame_count - 1 if job.last is None else min(job.last, self.info.frame_count - 1)
        self.camera_track: CameraTrack | None = None
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
        self._final: ClipMotions | None = None
        self._sent = 0  # final frames
        self._lost_reported = 0  # of what was lost
        self._rate_meter = _RateMeter()
        self.over = False
        last = self._journal.read(self._journal.count - 1) if self._journal.count else None
        self.resumed = _frames_done(last, job)
        self._frames_done = self.resumed
        self._lost: list[str] = [] if last is None else [str(text) for text in last["lost"]]
        self.total = max((end - job.first) // job.step + 1, 1)

    @property
    def lost(self) -> list[str]:
        """What of the clip could not be used, in words."""
        return self._lost

    @property
    def motions(self) -> list[Motion]:
        """Of everybody; none before the run is over."""
        return [] if self._final is None else self._final.motions

    @property
    def world(self) -> World:
        """Of everybody, once the run is over."""
        return World() if self._final is None else self._final.world

    @property
    def files(self) -> list[Path]:
        """The npz files of the people; none before the run is over."""
        return self._results.files()

    def close(self) -> None:
        """Let go of files.  Whatever was journaled stays."""
        if self._reader is not None:
            self._reader.close()
        self._lock.release()

    def advance(self, on_progress: OnProgress) -> list[ClipChunk | ClipPeople]:
        """The next step.  on_progress may raise to give up; the step is then made again by the next run."""
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
        """Frames that an earlier run finished."""
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
        if chunk is None:  # how the clip ends may be known only now
            self._lost = list(dict.fromkeys([*self._lost, *self._reader.lost]))
            return None
        self._journal.append(chunk)
        self._replayed += 1
        self._frames_done = before + len(chunk["numbers"])
        self._rate_meter.tick(len(chunk["numbers"]))
        self._lost = [str(text) for text in chunk["lost"]]
        return self._provisional([chunk])

    def _progress(self, stage: str, done: int) -> ClipProgress:
        rate = self._rate_meter.rate
        left = max(self.total - done, 0) / rate / READING_SHARE if rate else 0.0
        fraction = min(READING_SHARE * done / self.total, READING_SHARE)
        return ClipProgress(stage, fraction, min(done, self.total), self.total, rate, left)

    def _provisional(self, chunks: list[Arrays]) -> ClipChunk:
        def rows(name: str) -> np.ndarray:
            return np.concatenate([chunk[name] for chunk in chunks])

        person, betas, poses, trans = rows("person"), rows("betas"), rows("poses"), rows("trans")
        world = World()
        if self.camera_track is not None:
            poses, trans, world = self._common_frame.transform(rows("frame"), poses, betas, trans)
        ids, index = np.unique(person, return_index=True)
        known = {"frames": rows("frame"), "poses": poses, "trans": trans}
        for name, row in ROWS.items():
            if name not in known:  # what only the whole clip says is 0
                known[name] = rows(name) if name in chunks[0] else row.zeros(len(person))
        return ClipChunk(
            final=False,
            people=ids,
            betas=betas[index],
            person=person,
            world=world,
            lost=self._new_losses(),
            **known,
        )

    def _new_losses(self) -> tuple[str, ...]:
        """What was lost since the last chunk that told."""
        news, self._lost_reported = tuple(self._lost[self._lost_reported :]), len(self._lost)
        return news

    # ---- finishing ---------------------------------------------------------------------------------------

    def _labels(self) -> dict[str, str]:
        return {
            "model": self.model_name,
            "body": self.body_name,
            "license": self.license,
            "source": self.job.source,
            "notice": self.notice,
        }

    def _finish(self, on_progress: OnProgress) -> list[ClipChunk | ClipPeople]:
        def refining(part: float) -> None:
            fraction = READING_SHARE + (1 - READING_SHARE) * part
            on_progress(ClipProgress("refine", fraction, self._frames_done, self.total))

        refining(0.0)
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
            refining,
            self.camera_track,
        )
        self._results.write(final.motions, final.world, self.camera, self.info.fps, self._labels(), self._lost)
        self._final = final
        return [self._people(), self._next_final()]

    def _take_finished(self) -> list[ClipChunk | ClipPeople]:
        found = self._results.read()
        if found is None:  # damaged: made again from the journal
            self._replayed = 0
            self._results.forget()
            return []
        self._final = ClipMotions(*found)
        return [self._people(), self._next_final()]

    def _people(self) -> ClipPeople:
        assert self._final is not None
        kept = [motion.id for motion in self._final.motions]
        return list_people(self.job, self._journal, self._clip, kept, self.info.fps)

    def _next_final(self) -> ClipChunk:
        """Frames `_sent` and on of everybody; the last one ends the run."""
        assert self._final is not None
        motions, world = self._final.motions, self._final.world
        first = min((int(m.frames[0]) for m in motions), default=0) + self._sent
        last = max((int(m.frames[-1]) for m in motions), default=-1)
        self._sent += FINAL_FRAMES * self.job.step
        self.over = first + FINAL_FRAMES * self.job.step > last
        return final_chunk(motions, world, first, first + FINAL_FRAMES * self.job.step, self._new_losses())


def final_chunk(motions: list[Motion], world: World, first: int, end: int, lost: tuple[str, ...] = ()) -> ClipChunk:
    """The rows of all people in frames first <= n < end."""
    parts = [(m, (m.frames >= first) & (m.frames < end)) for m in motions]
    parts = [(m, at) for m, at in parts if at.any()]
    joints = motions[0].poses.shape[1] if motions else 24
    rows = {
        name: np.concatenate([row.zeros(0, joints), *(np.asarray(getattr(m, name))[at] for m, at in parts)])
        for name, row in ROWS.items()
    }
    betas = [m.betas for m, _ in parts]
    return ClipChunk(
        final=True,
        people=np.array([m.id for m, _ in parts], np.int64),
        betas=np.stack(betas) if betas else np.zeros((0, 10), np.float32),
        person=np.concatenate([np.zeros(0, np.int64), *(np.full(at.sum(), m.id) for m, at in parts)]),
        world=world,
        lost=lost,
        **rows,
    )


def _frames_done(last: Arrays | None, job: ClipJobFile) -> int:
    return 0 if last is None else (int(last["numbers"][-1]) - job.first) // job.step + 1


class _RateMeter:
    """Frames per second of work, over the last seconds."""

    def __init__(self) -> None:
        self._ticks: list[tuple[float, int]] = [(time.monotonic(), 0)]

    def tick(self, frames: int) -> None:
        now = time.monotonic()
        self._ticks.append((now, frames))
        while len(self._ticks) > 2 and now - self._ticks[1][0] > _RATE_SECONDS:
            self._ticks.pop(0)

    @property
    def rate(self) -> float:
        """0 while unknown."""
        seconds = self._ticks[-1][0] - self._ticks[0][0]
        return sum(frames for _, frames in self._ticks[1:]) / seconds if seconds > 0 else 0.0
