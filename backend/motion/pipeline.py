"""Everybody's motion in one world, from their tracks."""

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
from backend.motion.track_fit import TrackProblem, fit_track, minimize_windows, slice_state, start_state
from backend.motion.up_direction import estimate_ground_slopes
from backend.structures import Camera, Motion, Track, World
from backend.threads import one_blas_thread

_LOCK_ITERATIONS = (3, 4)
_POSE_ITERATIONS = 6
_BATCH = 256

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
    """tracks: of everybody, who is most in the clip first; `height_m` (0: unknown) is that person's.  fps: of the rows.
    per_frame: bodies of each track's seen rows, to start from.  network_poses: they are a network's, and what the
    motions follow instead of keypoints; the shape is their median.  smoothing: 0..1.  foot_lock: auto, always, never.
    on_progress: called with 0..1; may raise to give up.  Without `matchmove` a camera that does not move is taken for
    granted; with it the motions come in the common frame, and their world is the matchmove's.
    """
    skeleton = Skeleton(body)
    chosen = [(t, per_frame[k] if per_frame is not None else None) for k, t in enumerate(tracks) if t.seen.any()]
    detected_tracks = [track for track, _ in chosen]
    tracks = detected_tracks if network_poses else suppress_limb_outliers(detected_tracks, fps)
    chosen = [(track, bodies) for track, (_, bodies) in zip(tracks, chosen, strict=True)]
    slopes = estimate_ground_slopes(tracks, camera) if matchmove is None else None  # its up is known
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
    """What all people of a clip have in common.  up: (3,) unit, where no matchmove knows it better."""

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
        """A person's motion.  size: times larger than in `last`, the motion that was found before."""
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
            state = minimize_windows(problem, state, trust, self.smooth.without_fast_motion, 2)
            state = minimize_windows(problem, state, trust, self.smooth, _POSE_ITERATIONS, on_progress)
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
        """The last pass over a motion, which knows the ground.  -> (T, P) contacts."""
        one.problem.set_up_axis(world.rotation[2])
        trust = one.problem.trust(one.state)
        contacts = np.zeros((len(one.track), len(POINTS)), bool)
        # feet that are held slow down their neighbouring frames: more contacts are found the second time
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
    """(T, P, 3) the foot points, in batches: the turns of all joints of a long clip are many."""
    count, points = len(state.trans), list(POINTS)
    return np.concatenate(
        [skeleton.forward(slice_state(state, k, k + _BATCH))[2][:, points] for k in range(0, count, _BATCH)]
    )


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
    """-> joints (T, J, 3), confidence (T, J) and reprojection error (T,) px of rows first <= t < end."""
    problem = one.problem.problem(first, end)
    _, joints, points = skeleton.forward(slice_state(one.state, first, end))
    uv = problem.project(points)
    error = np.linalg.norm(uv - problem.observed.uv, axis=-1)
    everything = np.concatenate([uv, problem.project(joints)], 1)
    height = np.maximum(np.ptp(everything, axis=1).max(-1), 1.0)
    counted = (problem.observed.seen > 0.5) * 1.0
    mean = (error * counted).sum(1) / np.maximum(counted.sum(1), 1e-9)
    return joints, joint_confidence(skeleton, problem, error / height[:, None]), mean
