"""From the journal to the final motions: track ids, the tracks that the job selects, their motions in one world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from backend.body.camera_frames import with_intrinsics
from backend.body.kinematics import Skeleton, State
from backend.body.model import BodyModel
from backend.clips.job_file import ClipJobFile
from backend.clips.journal import Arrays, Journal
from backend.errors import BadInput
from backend.geometry import rotations_numpy as rot
from backend.media.clip import Clip
from backend.motion.camera_track import CameraTrack
from backend.motion.matchmove import Matchmove
from backend.motion.pipeline import recover_motions
from backend.people.limit import people_limit
from backend.people.track.identities import identify, thumbnails, tracks_from_detections
from backend.structures import Camera, ClipPeople, Motion, Track, World

_DETECTIONS = ("frame", "person", "boxes", "scores", "keypoints2d", "keypoints3d", "looks")
_BODIES = ("poses", "betas", "trans")
_MAX_THUMBNAILS = 64  # people listed, by size times number of frames


def finish(
    job: ClipJobFile,
    journal: Journal,
    body: BodyModel,
    camera: Camera,
    fps: Fraction,
    network_poses: bool,
    on_progress: Callable[[float], None],
    camera_track: CameraTrack | None = None,
) -> tuple[list[Motion], World]:
    """The motions of the people that the job selects, and their world.

    camera: with which the journal's bodies were recovered.  camera_track: of a moving camera.  network_poses: the
    journal's bodies come from a network.  on_progress: 0..1; may raise to cancel.  Raises BadInput `no_person`.
    """
    detections, person = _detections_with_ids(job, journal, fps, (*_DETECTIONS, *_BODIES))
    tracks = _selected_tracks(job, tracks_from_detections(detections, person, job.step))
    per_frame = [_bodies(detections, np.nonzero(person == track.id)[0]) for track in tracks]
    if camera_track is not None:
        skeleton = Skeleton(body)
        per_frame = [
            with_track_intrinsics(skeleton, bodies, camera, camera_track, track.frames[track.seen])
            for bodies, track in zip(per_frame, tracks, strict=True)
        ]
    return recover_motions(
        body,
        tracks,
        camera,
        float(fps / job.step),
        per_frame=per_frame,
        network_poses=network_poses,
        smoothing=job.smoothing,
        foot_lock=job.foot_lock,
        height_m=job.height_m,
        matchmove=None if camera_track is None else Matchmove(camera_track, job.scene_scale),
        on_progress=on_progress,
    )


def with_track_intrinsics(
    skeleton: Skeleton, state: State, camera: Camera, camera_track: CameraTrack, frames: np.ndarray
) -> State:
    """Bodies (T) recovered with `camera`, moved to keep their projection under the track's intrinsics; camera frames.

    frames: (T,) clip frames of the bodies.
    """
    view = camera_track.view(frames)
    focal, center = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
    return with_intrinsics(view, skeleton, state, focal, center)


def list_people(job: ClipJobFile, journal: Journal, clip: Clip, kept: Sequence[int], fps: Fraction) -> ClipPeople:
    """The people in the clip, at most _MAX_THUMBNAILS, each with a thumbnail.  kept: ids that the job recovers."""
    detections, person = _detections_with_ids(job, journal, fps, _DETECTIONS)
    tracks = tracks_from_detections(detections, person, job.step)[:_MAX_THUMBNAILS]

    def read_frame(number: int) -> np.ndarray | None:
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
        thumbnails(tracks, read_frame),
    )


def _selected_tracks(job: ClipJobFile, tracks: list[Track]) -> list[Track]:
    if not job.keep:
        return tracks[: people_limit(job.people)]
    created = {new for _, _, _, new in job.edits}  # by splits; later edits may have left no frames of them
    missing = sorted(set(job.keep) - {track.id for track in tracks} - created)
    if missing:
        raise BadInput(
            "no_person",
            f"There is no person {', '.join(map(str, missing))} in this clip.",
            f"Its people: {', '.join(str(track.id) for track in tracks) or 'none'}.",
        )
    return [track for track in tracks if track.id in job.keep]


def _detections_with_ids(
    job: ClipJobFile, journal: Journal, fps: Fraction, names: Sequence[str]
) -> tuple[Arrays, np.ndarray]:
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*names, "numbers")}
    for chunk in journal:
        for name, arrays in parts.items():
            arrays.append(chunk[name])
    detections = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    read = len(detections.pop("numbers"))
    return detections, identify(detections, float(fps), merge=job.merge, split=job.split, edits=job.edits, read=read)


def _bodies(detections: Arrays, at: np.ndarray) -> State:
    return State(rot.exp(detections["poses"][at]), detections["betas"][at], detections["trans"][at])
