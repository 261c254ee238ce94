"""From the journal to the final motions: who is who, whom the job wants, and their motions in one world."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from backend.body.kinematics import Skeleton, State
from backend.body.model import BodyModel
from backend.clips.job import ClipJobFile
from backend.clips.journal import Arrays, Journal
from backend.errors import BadInput
from backend.geometry import rotations_numpy as rot
from backend.motion.camera_track import CameraTrack
from backend.motion.matchmove import Matchmove
from backend.motion.pipeline import recover_motions
from backend.people.limit import people_limit
from backend.people.track.identities import identify, thumbnails, tracks_from_rows
from backend.structures import Camera, ClipPeople, Motion, Track, World

_DETECTIONS = ("frame", "person", "boxes", "scores", "keypoints2d", "keypoints3d", "looks")
_BODIES = ("poses", "betas", "trans")
_MOST_THUMBNAILS = 64


@dataclass(frozen=True)
class Finish:
    """What a clip's job ends with."""

    motions: list[Motion]
    world: World


class Readable(Protocol):
    """A clip whose frames can be read again."""

    def frames(self, start: int = 0) -> Iterator[Any]: ...


def finish(
    job: ClipJobFile,
    journal: Journal,
    body: BodyModel,
    camera: Camera,
    fps: Fraction,
    poses_given: bool,
    on_progress: Callable[[float], None],
    moving: CameraTrack | None = None,
) -> Finish:
    """camera: that the journal's bodies were found with.  moving: the camera's way, where it is known.
    poses_given: the journal's bodies are a network's.  on_progress: 0..1; may raise.

    Raises BadInput `no_person`.
    """
    rows, person = _identified(job, journal, fps, (*_DETECTIONS, *_BODIES))
    tracks = _chosen(job, tracks_from_rows(rows, person, job.step))
    guessed = [_bodies(rows, np.nonzero(person == track.id)[0]) for track in tracks]
    if moving is not None:
        skeleton = Skeleton(body)
        guessed = [
            refocused(skeleton, guess, camera, moving, track.frames[track.seen])
            for guess, track in zip(guessed, tracks, strict=True)
        ]
    motions, world = recover_motions(
        body,
        tracks,
        camera,
        float(fps / job.step),
        guessed=guessed,
        poses_given=poses_given,
        smoothing=job.smoothing,
        foot_lock=job.foot_lock,
        height_m=job.height_m,
        matchmove=None if moving is None else Matchmove(moving, job.scene_scale),
        on_progress=on_progress,
    )
    return Finish(motions, world)


def refocused(
    skeleton: Skeleton, state: State, camera: Camera, moving: CameraTrack, frames: np.ndarray
) -> State:
    """Bodies that were found with `camera`, as the true intrinsics of these frames see them, in camera frames."""
    view = moving.view(frames)
    focal, center = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
    return view.refocused(skeleton, state, focal, center)


def people_of(
    job: ClipJobFile, journal: Journal, clip: Readable, kept: Sequence[int], fps: Fraction
) -> ClipPeople:
    """Everybody in the clip, whether the job wants them or not, with a picture of each."""
    rows, person = _identified(job, journal, fps, _DETECTIONS)
    tracks = tracks_from_rows(rows, person, job.step)[:_MOST_THUMBNAILS]

    def picture(number: int) -> np.ndarray | None:
        frames = clip.frames(number)
        frame = next(frames, None)
        frames.close()  # type: ignore[attr-defined]  # a generator; it would keep the file open
        return frame.pixels if frame is not None and frame.number == number else None

    return ClipPeople(
        np.array([t.id for t in tracks], np.int64),
        np.array([t.frames[0] for t in tracks], np.int64),
        np.array([t.frames[-1] for t in tracks], np.int64),
        np.array([t.seen.sum() for t in tracks], np.int64),
        np.array([t.id in kept for t in tracks], bool),
        thumbnails(tracks, picture),
    )


def _chosen(job: ClipJobFile, tracks: list[Track]) -> list[Track]:
    if not job.keep:
        return tracks[: people_limit(job.people)]
    made = {new for _, _, _, new in job.edits}  # of those nothing may be left
    missing = sorted(set(job.keep) - {track.id for track in tracks} - made)
    if missing:
        raise BadInput(
            "no_person",
            f"There is no person {', '.join(map(str, missing))} in this clip.",
            f"Known are: {', '.join(str(track.id) for track in tracks) or 'nobody'}.",
        )
    return [track for track in tracks if track.id in job.keep]


def _identified(
    job: ClipJobFile, journal: Journal, fps: Fraction, names: Sequence[str]
) -> tuple[Arrays, np.ndarray]:
    rows = _rows(journal, (*names, "numbers"))
    read = len(rows.pop("numbers"))
    return rows, identify(rows, float(fps), merge=job.merge, split=job.split, edits=job.edits, read=read)


def _rows(journal: Journal, names: Sequence[str]) -> Arrays:
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for chunk in journal:
        for name in names:
            parts[name].append(chunk[name])
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _bodies(rows: Arrays, at: np.ndarray) -> State:
    return State(rot.exp(rows["poses"][at]), rows["betas"][at], rows["trans"][at])
