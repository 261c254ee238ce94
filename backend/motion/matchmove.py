"""People before a solved, moving camera: the scale of its scene, and bodies of a size that stands on its ground."""

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

# Unchanged since the first version, origin not recorded.  Checked on clip *dolly* and on simulated detections with
# scales of 0.5 and 3 (docs/results.md).
_MIN_CHANGE = 0.01  # relative; smaller changes of scale or size are ignored
_MAX_RESIZE = 0.12  # relative; a person who needs more is not on the scene's ground and keeps the size
_MIN_ROWS = 5  # detections that a person's own scale needs


class Matchmove:
    """A camera track and the scale of its scene, which is refined as more motion is known."""

    def __init__(self, camera: CameraTrack, given_scale: float = 0.0) -> None:
        """given_scale: scene units per metre; 0: estimated from the feet."""
        self._camera = camera
        self.given_scale = given_scale
        self.scale = given_scale or 1.0

    def view(self, track: Track) -> View:
        """Camera path of the track's rows, with the current scale."""
        return self._camera.view(track.frames, self.scale)

    def initialize_scale(
        self, skeleton: Skeleton, soles: np.ndarray, frames: Sequence[np.ndarray], per_frame: Sequence[State | None]
    ) -> None:
        """Set the scale from each person's bodies in single frames, in their camera frames.  frames: of the bodies."""
        if self.given_scale:
            return
        feet = []
        for at, bodies in zip(frames, per_frame, strict=True):
            if bodies is not None and len(bodies.trans):
                common = to_common_frame(self._camera.view(at, self.scale), skeleton, bodies)
                feet.append(self.feet(skeleton, soles, at, common))
        self.scale = estimate_scale(feet) or 1.0

    def feet(self, skeleton: Skeleton, soles: np.ndarray, frames: np.ndarray, state: State) -> FootHeights:
        """Heights for `estimate_scale`.  state: of these frames, common frame.  soles: see `foot_lock.sole_heights`."""
        points = skeleton.forward(state)[2][:, list(POINTS)]
        height = self._camera.view(frames, self.scale).positions[:, 1]  # y is down
        return FootHeights(points[..., 1] + soles - height[:, None], -height * self.scale)

    def rescaled(self, skeleton: Skeleton, track: Track, state: State, before: float, size: float = 1.0) -> State:
        """State with the same projection for the current scale instead of `before`; bodies `size` times larger."""
        old, new = self._camera.view(track.frames, before).positions, self.view(track).positions
        root = root_joint(skeleton, state.betas)
        return State(state.rotations, state.betas, new + (state.trans + root - old) * size - root)

    def refine_scale(self, people: Sequence[FootHeights], first_is_known: bool) -> list[float]:
        """Per person the factor of size with which they stand on the scene's ground; sets the scale from whole motions.

        first_is_known: the first person's height is given; it sets the scale, and that person keeps the size.
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
            # a body that is too large is placed too far away, with its feet too low
            ratio = 1.0 if own is None or (k == 0 and first_is_known) else own / self.scale
            sizes.append(ratio if _MIN_CHANGE < abs(ratio - 1) < _MAX_RESIZE else 1.0)
        return sizes


class TrackedMotion(Protocol):
    """A person's track and the state fitted to it."""

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
    """(index, factor of size) of each person to be fitted again, after the scale is refined from whole motions.

    Each person's `state` is moved into the rescaled scene with the same projection: the start of that fit.
    """
    before = matchmove.scale
    feet = [
        matchmove.feet(skeleton, soles, one.track.frames[one.track.seen], one.state[one.track.seen]) for one in people
    ]
    sizes = matchmove.refine_scale(feet, first_is_known)
    for one, size in zip(people, sizes, strict=True):
        one.state = matchmove.rescaled(skeleton, one.track, one.state, before, size)
    # the smoothness terms depend on the scale: all are fitted again after a change of it
    return [(k, size) for k, size in enumerate(sizes) if size != 1.0 or before != matchmove.scale]


def resize_bodies(skeleton: Skeleton, state: State, size: float) -> State:
    """State with (nearly) the same projection and bodies `size` times larger; both in camera frames.

    Betas change by the least-norm step that gives that height.
    """
    slope = skeleton.height_directions
    height = skeleton.height + state.betas @ slope
    betas = state.betas + (height * (size - 1))[:, None] * slope / (slope @ slope)
    position = (root_joint(skeleton, state.betas) + state.trans) * size
    return State(state.rotations, betas, position - root_joint(skeleton, betas))
