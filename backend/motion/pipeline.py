"""Everybody's motion in one world, from their tracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from backend.body.keypoint_fit import rotations as rot
from backend.body.keypoint_fit.confidence import joint_confidence
from backend.body.keypoint_fit.kinematics import Skeleton, State
from backend.body.model import BodyModel
from backend.clips.records import Motion, Track, World
from backend.motion.contacts import find_contacts
from backend.motion.foot_lock import POINTS, FootLock, sole_heights
from backend.motion.gaps import hidden_rows
from backend.motion.ground import find_ground
from backend.motion.pose_fit import PoseProblem
from backend.motion.temporal import Smoothness
from backend.motion.track_fit import TrackProblem, cut, fit_track, minimize_windows, start_state
from backend.motion.upright import find_slopes
from backend.results import Camera

_LOCK_ITERATIONS = (3, 4)
_POSE_ITERATIONS = 6
_BATCH = 256

OnProgress = Callable[[float], None]


@dataclass
class _Person:
    track: Track
    problem: TrackProblem
    state: State
    contacts: np.ndarray | None = None


def recover_motions(
    body: BodyModel,
    tracks: Sequence[Track],
    camera: Camera,
    fps: float,
    *,
    guessed: Sequence[State | None] | None = None,
    poses_given: bool = False,
    smoothing: float = 0.5,
    foot_lock: str = "auto",
    height_m: float = 0.0,
    on_progress: OnProgress = lambda part: None,
) -> tuple[list[Motion], World]:
    """tracks: of everybody, who is most in the clip first; `height_m` (0: unknown) is that person's.  fps: of the rows.
    guessed: bodies of each track's seen rows, to start from.  poses_given: they are a network's answers, and what the
    motions follow instead of keypoints; the shape is their median.  smoothing: 0..1.  foot_lock: auto, always, never.
    on_progress: called with 0..1; may raise to give up.  A camera that does not move is taken for granted.
    """
    skeleton = Skeleton(body)
    tracks = [track for track in tracks if track.seen.any()]
    slopes = find_slopes(tracks, camera)
    people: list[_Person] = []
    done = 0
    total = 2 * sum(len(track) for track in tracks) + 1

    def told(count: int) -> OnProgress:
        return lambda part: on_progress(min((done + part * count) / total, 1.0))

    smooth = Smoothness.of(smoothing, fps)
    for k, track in enumerate(tracks):
        guess = guessed[k] if guessed is not None else None
        start = start_state(skeleton, track, camera, guess)
        hidden = hidden_rows(track.seen, fps)
        problem: TrackProblem
        if poses_given and guess is not None:
            problem = PoseProblem(skeleton, track, camera, guess, hidden)
            betas = np.median(guess.betas, axis=0)
            state = State(start.rotations, np.tile(betas, (len(track), 1)), start.trans)
            trust = np.ones_like(problem.observed.seen)
            state = minimize_windows(problem, state, trust, smooth.steady, 2)
            state = minimize_windows(problem, state, trust, smooth, _POSE_ITERATIONS, told(len(track)))
        else:
            known_height = height_m if k == 0 else 0.0
            problem, state = fit_track(
                skeleton,
                track,
                camera,
                smooth,
                start,
                hidden=hidden,
                up=slopes.up,
                height_m=known_height,
                on_progress=told(len(track)),
            )
        people.append(_Person(track, problem, state))
        done += len(track)
    soles = sole_heights(skeleton, float(body.v_template[:, 1].min()))
    feet = [_landmarks(skeleton, one.state)[:, list(POINTS)] for one in people]
    world = find_ground(
        [points[one.track.seen] for points, one in zip(feet, people, strict=True)], soles, fps, slopes
    )
    motions = []
    for points, one in zip(feet, people, strict=True):
        one.problem.stand(world.rotation[2])
        trust = one.problem.trust(one.state)
        contacts = np.zeros((len(one.track), len(POINTS)), bool)
        # feet that are held slow down their neighbouring frames: more contacts are found the second time
        for iterations, progress in zip(
            _LOCK_ITERATIONS, (lambda part: None, told(len(one.track))), strict=True
        ):
            places = world.points(points) - [0.0, 0.0, 1.0] * soles[:, None]
            contacts |= find_contacts(places, fps, foot_lock) & ~one.problem.hidden[:, None]
            one.problem.extra = FootLock(skeleton, world, soles, points, contacts)
            one.state = minimize_windows(one.problem, one.state, trust, smooth, iterations, progress)
            points = _landmarks(skeleton, one.state)[:, list(POINTS)]
        done += len(one.track)
        motions.append(_motion(skeleton, one, contacts))
    on_progress(1.0)
    return motions, world


def _landmarks(skeleton: Skeleton, state: State) -> np.ndarray:
    """(T, K, 3), in batches: the turns of all joints of a long clip are many."""
    count = len(state.trans)
    return np.concatenate([skeleton.forward(cut(state, k, k + _BATCH))[2] for k in range(0, count, _BATCH)])


def _motion(skeleton: Skeleton, one: _Person, contacts: np.ndarray) -> Motion:
    state, track = one.state, one.track
    parts = [_shown(skeleton, one, k, min(k + _BATCH, len(track))) for k in range(0, len(track), _BATCH)]
    joints, confidence, reprojection = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Motion(
        id=track.id,
        frames=track.frames,
        poses=rot.log(state.rotations),
        betas=state.betas[0],
        trans=state.trans,
        joints=joints,
        confidence=confidence * track.seen[:, None],
        filled=~track.seen,
        hidden=one.problem.hidden,
        contacts=contacts.reshape(-1, 2, 2).any(-1),
        reprojection_px=reprojection * track.seen,
        keypoints2d=track.keypoints2d,
    )


def _shown(
    skeleton: Skeleton, one: _Person, first: int, end: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> joints (T, J, 3), confidence (T, J) and reprojection error (T,) px of rows first <= t < end."""
    problem = one.problem.problem(first, end)
    _, joints, points = skeleton.forward(cut(one.state, first, end))
    uv = problem.project(points)
    error = np.linalg.norm(uv - problem.observed.uv, axis=-1)
    everything = np.concatenate([uv, problem.project(joints)], 1)
    height = np.maximum(np.ptp(everything, axis=1).max(-1), 1.0)
    counted = (problem.observed.seen > 0.5) * 1.0
    mean = (error * counted).sum(1) / np.maximum(counted.sum(1), 1e-9)
    return joints, joint_confidence(skeleton, problem, error / height[:, None]), mean
