"""People before a camera that moves as somebody else has solved it: the scale of its scene, and who stands in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from backend.body.camera_frames import root_joint, to_common_frame
from backend.body.kinematics import Skeleton, State
from backend.geometry.camera_path import View
from backend.motion.foot_lock import POINTS
from backend.motion.scene_scale import ONE, FootHeights, estimate_scale
from backend.structures import Track

if TYPE_CHECKING:
    from backend.motion.camera_track import CameraTrack

_MIN_CHANGE = 0.01  # a change this small is none
_MAX_RESIZE = 0.12  # whose size would have to change by more does not stand on the scene's ground
_MIN_ROWS = 5  # frames


class Matchmove:
    """A camera track and the scale of its scene, which grows better as more is known."""

    def __init__(self, camera: CameraTrack, given_scale: float = 0.0) -> None:
        """given_scale: units of the scene per metre; 0: to be found from the feet."""
        self._camera = camera
        self.given_scale = given_scale
        self.scale = given_scale or 1.0

    def view(self, track: Track) -> View:
        """Of every row, by the scale as it is known now."""
        return self._camera.view(track.frames, self.scale)

    def initialize_scale(
        self,
        skeleton: Skeleton,
        soles: np.ndarray,
        frames: Sequence[np.ndarray],
        per_frame: Sequence[State | None],
    ) -> None:
        """A first scale, from bodies of single frames in their camera frames.  frames: of the bodies of each person."""
        feet = [
            self.feet(
                skeleton,
                soles,
                numbers,
                to_common_frame(self._camera.view(numbers, self.scale), skeleton, bodies),
            )
            for numbers, bodies in zip(frames, per_frame, strict=True)
            if bodies is not None and len(bodies.trans)
        ]
        if not self.given_scale:
            self.scale = estimate_scale(feet) or 1.0

    def feet(self, skeleton: Skeleton, soles: np.ndarray, frames: np.ndarray, state: State) -> FootHeights:
        """state: of these frames in the common frame, by the present scale.  soles: see `foot_lock.sole_heights`."""
        points = skeleton.forward(state)[2][:, list(POINTS)]
        height = self._camera.view(frames, self.scale).positions[:, 1]  # y is down
        return FootHeights(points[..., 1] + soles - height[:, None], -height * self.scale)

    def rescaled(self, skeleton: Skeleton, track: Track, state: State, before: float, size: float = 1.0) -> State:
        """The same as the camera sees it, after the scale has changed from `before`, for bodies `size` times larger."""
        old, new = self._camera.view(track.frames, before).positions, self.view(track).positions
        root = root_joint(skeleton, state.betas)
        return State(state.rotations, state.betas, new + (state.trans + root - old) * size - root)

    def refine_scale(self, people: Sequence[FootHeights], first_is_known: bool) -> list[float]:
        """The scale by whole motions; -> how many times larger each person must be to stand in that scene.

        first_is_known: the first one's height is; it then sets the scale, and that person stays as large.
        """
        if not self.given_scale:
            found = estimate_scale(people[:1] if first_is_known else people)
            if found is not None and abs(found / self.scale - 1) > _MIN_CHANGE:
                self.scale = found
            if abs(self.scale - 1) < ONE:
                self.scale = 1.0
        sizes = []
        for k, one in enumerate(people):
            own = estimate_scale([one]) if len(one.camera) >= _MIN_ROWS else None
            # a body that is taken for too large is seen too far away, and its feet too low
            ratio = 1.0 if own is None or (k == 0 and first_is_known) else own / self.scale
            sizes.append(ratio if _MIN_CHANGE < abs(ratio - 1) < _MAX_RESIZE else 1.0)
        return sizes


class TrackedMotion(Protocol):
    """A person's track, and the motion found for it."""

    track: Track
    state: State


def refine_scene_scale(
    matchmove: Matchmove,
    skeleton: Skeleton,
    soles: np.ndarray,
    people: Sequence[TrackedMotion],
    *,
    first_is_known: bool = False,
) -> list[tuple[int, float]]:
    """Find the scale by whole motions, and take everybody's `state` into that scene: the camera sees the same.

    -> who has to be solved again: number, and how many times larger.  They are brought as near as may be.
    """
    before = matchmove.scale
    feet = [
        matchmove.feet(skeleton, soles, one.track.frames[one.track.seen], _select_rows(one.state, one.track.seen))
        for one in people
    ]
    sizes = matchmove.refine_scale(feet, first_is_known)
    for one, size in zip(people, sizes, strict=True):
        one.state = matchmove.rescaled(skeleton, one.track, one.state, before, size)
    # in another scale another motion is smooth: solved again even where nobody changes size
    return [(k, size) for k, size in enumerate(sizes) if size != 1.0 or before != matchmove.scale]


def resize_bodies(skeleton: Skeleton, state: State, size: float) -> State:
    """The same as the camera sees it, in camera frames, with bodies `size` times larger.

    The shape changes as little as gives that height (the least norm).
    """
    slope = skeleton.height_directions
    height = skeleton.height + state.betas @ slope
    betas = state.betas + (height * (size - 1))[:, None] * slope / (slope @ slope)
    position = (root_joint(skeleton, state.betas) + state.trans) * size
    return State(state.rotations, betas, position - root_joint(skeleton, betas))


def _select_rows(state: State, rows: np.ndarray) -> State:
    return State(state.rotations[rows], state.betas[rows], state.trans[rows])
