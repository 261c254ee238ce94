"""Motions of all people of a clip in one world, from their tracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.body.keypoint_fit.confidence import joint_confidence
from backend.body.keypoint_fit.observations import LEVEL
from backend.body.kinematics import Skeleton, State
from backend.body.model import BodyModel
from backend.geometry import rotations_numpy as rot
from backend.motion.contacts import find_contacts
from backend.motion.foot_lock import POINTS, FootLock, sole_heights
from backend.motion.ground import find_ground
from backend.motion.limb_outliers import suppress_limb_outliers
from backend.motion.matchmove import Matchmove, refine_scene_scale, resize_bodies
from backend.motion.network_pose_fit import PoseProblem
from backend.motion.occlusion_gaps import LONGEST, hidden_rows
from backend.motion.smoothness import Smoothness
from backend.motion.track_fit import fit_track, minimize_windows
from backend.motion.track_problem import TrackProblem
from backend.motion.track_start import start_state
from backend.motion.up_direction import estimate_ground_slopes
from backend.structures import Camera, Motion, Track, World
from backend.threads import one_blas_thread

_LOCK_ITERATIONS = (3, 4)  # of the two foot lock passes; one of 5 before contacts were searched twice
_POSE_ITERATIONS = (2, 6)  # of a network's poses: with constant smoothness weights, then with all; origin not recorded
_BATCH = 256  # frames whose joint rotations are in memory at once

OnProgress = Callable[[float], None]


@dataclass
class _Person:
    track: Track
    problem: TrackProblem
    state: State


@one_blas_thread()
def recover_motions(
    body: BodyModel,
    tracks: Sequence[Track],
    camera: Camera,
    fps: float,
    *,
    per_frame: Sequence[State | None] | None = None,
    network_poses: bool = False,
    smoothing: float = 0.5,
    foot_lock: str = "auto",
    height_m: float = 0.0,
    matchmove: Matchmove | None = None,
    on_progress: OnProgress = lambda part: None,
) -> tuple[list[Motion], World]:
    """One motion per track with a detection, and their world.

    tracks: the most prominent person first; `height_m` (0: unknown) is that person's.  fps: of the rows.
    per_frame: per track the bodies of its detected rows, the initial state.  network_poses: these are a network's, and
    the motions follow them instead of the keypoints; the shape is their median.  smoothing: 0..1.  foot_lock: auto,
    always, never.  matchmove: None: the camera is assumed fixed, motions are in its frame; else they are in the common
    frame, and the world is the matchmove's.  on_progress: called with 0..1; may raise to stop.
    """
    skeleton = Skeleton(body)
    chosen = [(t, per_frame[k] if per_frame is not None else None) for k, t in enumerate(tracks) if t.seen.any()]
    detected_tracks = [track for track, _ in chosen]
    tracks = detected_tracks if network_poses else suppress_limb_outliers(detected_tracks, fps)
    chosen = [(track, bodies) for track, (_, bodies) in zip(tracks, chosen, strict=True)]
    slopes = estimate_ground_slopes(tracks, camera) if matchmove is None else None  # else up is known
    soles = sole_heights(skeleton, float(body.v_template[:, 1].min()))
    if matchmove is not None:
        matchmove.initialize_scale(
            skeleton, soles, [t.frames[t.seen] for t in tracks], [bodies for _, bodies in chosen]
        )
    context = _ClipContext(
        skeleton, camera, fps, Smoothness.of(smoothing, fps), network_poses, LEVEL if slopes is None else slopes.up,
        matchmove,
    )  # fmt: skip
    done = 0
    total = 2 * sum(len(track) for track in tracks) + 1

    def progress_of(count: int) -> OnProgress:
        return lambda part: on_progress(min((done + part * count) / total, 1.0))

    people: list[_Person] = []
    for k, (track, bodies) in enumerate(chosen):
        height = height_m if k == 0 else 0.0
        people.append(context.fit_motion(track, bodies, height_m=height, on_progress=progress_of(len(track))))
        done += len(track)
    if slopes is not None:
        feet = [_feet(skeleton, one.state)[one.track.seen] for one in people]
        world = find_ground(feet, soles, fps, slopes)
    else:
        assert matchmove is not None
        for k, size in refine_scene_scale(matchmove, skeleton, soles, people, first_is_known=height_m > 0):
            people[k] = context.fit_motion(*chosen[k], size=size, last=people[k].state)
        world = World(scale=matchmove.scale)
    motions = []
    for one, detected in zip(people, detected_tracks, strict=True):
        contacts = context.lock_feet(one, world, soles, foot_lock, progress_of(len(one.track)))
        done += len(one.track)
        motions.append(replace(_motion(skeleton, one, contacts), keypoints2d=detected.keypoints2d))
    on_progress(1.0)
    return motions, world


@dataclass(frozen=True)
class _ClipContext:
    """What all people of a clip share.  up: (3,) unit, camera frame; not used with a matchmove."""

    skeleton: Skeleton
    camera: Camera
    fps: float
    smooth: Smoothness
    network_poses: bool
    up: np.ndarray
    matchmove: Matchmove | None

    def fit_motion(
        self,
        track: Track,
        bodies: State | None,
        *,
        height_m: float = 0.0,
        size: float = 1.0,
        last: State | None = None,
        on_progress: OnProgress = lambda part: None,
    ) -> _Person:
        """The person's fitted motion.  size: factor over `last`, the state of an earlier fit."""
        skeleton, camera = self.skeleton, self.camera
        view = None if self.matchmove is None else self.matchmove.view(track)
        hidden = hidden_rows(track.seen, self.fps)
        problem: TrackProblem
        if self.network_poses and bodies is not None:
            if size != 1.0:
                bodies = resize_bodies(skeleton, bodies, size)
            start = start_state(skeleton, track, camera, bodies, view)
            problem = PoseProblem(skeleton, track, camera, bodies, hidden, view)
            betas = np.median(bodies.betas, axis=0)
            state = State(start.rotations, np.tile(betas, (len(track), 1)), start.trans)
            trust = np.ones_like(problem.observed.seen)
            state = minimize_windows(problem, state, trust, self.smooth.without_fast_motion, _POSE_ITERATIONS[0])
            state = minimize_windows(problem, state, trust, self.smooth, _POSE_ITERATIONS[1], on_progress)
            return _Person(track, problem, state)
        start = start_state(skeleton, track, camera, bodies, view) if last is None else last
        if size != 1.0:
            height_m = float(skeleton.height + skeleton.height_directions @ start.betas[0]) * size
        problem, state = fit_track(
            skeleton, track, camera, self.smooth, start, hidden=hidden, up=self.up, view=view,
            bridged_rows=round(LONGEST * self.fps), height_m=height_m, on_progress=on_progress,
        )  # fmt: skip
        return _Person(track, problem, state)

    def lock_feet(
        self, one: _Person, world: World, soles: np.ndarray, foot_lock: str, on_progress: OnProgress
    ) -> np.ndarray:
        """(T, P) bool contacts, after a last pass over the motion with foot lock and the world's up."""
        one.problem.set_up_axis(world.rotation[2])
        trust = one.problem.trust(one.state)
        contacts = np.zeros((len(one.track), len(POINTS)), bool)
        # locked feet slow down in neighbouring frames, so the second pass finds more contacts
        shares = ((0.0, 0.4), (0.4, 1.0))
        for iterations, (begin, end) in zip(_LOCK_ITERATIONS, shares, strict=True):
            points = _feet(self.skeleton, one.state)
            positions = world.points(points) - [0.0, 0.0, 1.0] * soles[:, None]
            contacts |= find_contacts(positions, self.fps, foot_lock) & ~one.problem.hidden[:, None]
            one.problem.extra = FootLock(self.skeleton, world, soles, points, contacts)

            def progress(part: float, begin: float = begin, end: float = end) -> None:
                on_progress(begin + part * (end - begin))

            one.state = minimize_windows(one.problem, one.state, trust, self.smooth, iterations, progress)
        return contacts


def _feet(skeleton: Skeleton, state: State) -> np.ndarray:
    """(T, P, 3) foot points, m, computed in batches to bound the memory."""
    count, points = len(state.trans), list(POINTS)
    return np.concatenate([skeleton.forward(state[k : k + _BATCH])[2][:, points] for k in range(0, count, _BATCH)])


def _motion(skeleton: Skeleton, one: _Person, contacts: np.ndarray) -> Motion:
    state, track = one.state, one.track
    parts = [_reprojection(skeleton, one, k, min(k + _BATCH, len(track))) for k in range(0, len(track), _BATCH)]
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
        view=one.problem.observed.view,
    )


def _reprojection(skeleton: Skeleton, one: _Person, first: int, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints (T, J, 3) m, confidence (T, J) 0..1, reprojection error (T,) px of rows first <= t < end."""
    problem = one.problem.problem(first, end)
    _, joints, points = skeleton.forward(one.state[first:end])
    uv = problem.project(points)
    error = np.linalg.norm(uv - problem.observed.uv, axis=-1)
    everything = np.concatenate([uv, problem.project(joints)], 1)
    height = np.maximum(np.ptp(everything, axis=1).max(-1), 1.0)
    counted = (problem.observed.seen > 0.5) * 1.0
    mean = (error * counted).sum(1) / np.maximum(counted.sum(1), 1e-9)
    return joints, joint_confidence(skeleton, problem, error / height[:, None]), mean
