"""What a clip is made of: tracks of detected people, their motions, and the world that they move in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from backend.body.keypoint_fit.view import View


@dataclass
class Track:
    """One person through a clip: T rows, one for every recovered frame from the first to the last that shows them.

    Where the person was not found `seen` is False and the row's numbers are 0.
    """

    id: int
    frames: np.ndarray  # (T,) int64, ascending: numbers of the clip's frames, 0 is the first
    seen: np.ndarray  # (T,) bool
    boxes: np.ndarray  # (T, 4) float32 x0 y0 x1 y1 px of the upright frame
    scores: np.ndarray  # (T,) float32 0..1
    keypoints2d: np.ndarray  # (T, 33, 3) float32 x px, y px, visibility 0..1 (MediaPipe's landmarks)
    keypoints3d: np.ndarray  # (T, 33, 3) float32 m, origin between the hips, camera axes

    def __len__(self) -> int:
        return len(self.frames)


@dataclass
class Motion:
    """One body through a clip, T rows.  Frame: the camera's (OpenCV: x right, y down, z forward); metres, radians.

    With a `view` the camera moves, and the frame is the common one of `backend.body.keypoint_fit.view`.
    The body stands where `lbs(poses, betas) + trans` puts it, as in `backend.results.RecoveredPerson`.
    """

    id: int
    frames: np.ndarray  # (T,) int64, ascending
    poses: np.ndarray  # (T, J, 3) axis-angle, parent-relative; the root's turns into the camera frame
    betas: np.ndarray  # (B,) constant
    trans: np.ndarray  # (T, 3)
    joints: np.ndarray  # (T, J, 3)
    confidence: np.ndarray  # (T, J) 0..1; 0 where filled
    filled: np.ndarray  # (T,) bool: nobody was seen, the pose is made up from before and after
    hidden: np.ndarray  # (T,) bool: filled, and unseen for so long that nobody should be shown
    contacts: np.ndarray  # (T, 2) bool: left, right foot stands on the ground
    reprojection_px: np.ndarray  # (T,) mean distance of visible keypoints to the body's, 0 where filled
    keypoints2d: np.ndarray  # (T, K, 3) as detected
    view: View | None = None  # how each row is seen, where the camera moves


@dataclass(frozen=True)
class World:
    """The ground at z = 0, z up, metres: x_world = rotation @ x_camera + translation.

    The camera stands above the world's origin and looks along +y (its heading); pitch and roll are the footage's.
    Where the camera moves it is the artist's world, the frame of the motions is the common one instead of the camera's,
    and the scene is `scale` units per metre: what is shown there is so many times larger.
    """

    rotation: np.ndarray = field(default_factory=lambda: np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]))
    translation: np.ndarray = field(default_factory=lambda: np.zeros(3))
    scale: float = 1.0

    def points(self, camera_points: np.ndarray) -> np.ndarray:
        """(..., 3) camera frame -> world."""
        return camera_points @ self.rotation.T + self.translation


@dataclass(frozen=True)
class ClipChunk:
    """N rows, each one person in one frame.  Provisional ones come while the clip is read; final ones replace them."""

    final: bool
    people: np.ndarray  # (P,) int ids
    betas: np.ndarray  # (P, B)
    frames: np.ndarray  # (N,) int
    person: np.ndarray  # (N,) int id
    poses: np.ndarray  # (N, J, 3)
    trans: np.ndarray  # (N, 3)
    confidence: np.ndarray  # (N, J)
    filled: np.ndarray  # (N,) bool
    hidden: np.ndarray  # (N,) bool
    contacts: np.ndarray  # (N, 2) bool
    reprojection_px: np.ndarray  # (N,)
    world: World
    lost: tuple[str, ...] = ()  # what could not be used, in words


@dataclass(frozen=True)
class ClipPeople:
    """Who is in a clip, in the order of how much is seen of them."""

    ids: np.ndarray  # (P,) int
    first: np.ndarray  # (P,) frame
    last: np.ndarray  # (P,) frame
    seen: np.ndarray  # (P,) number of frames
    kept: np.ndarray  # (P,) bool: recovered
    thumbnails: np.ndarray  # (P, H, W, 3) uint8 RGB


@dataclass(frozen=True)
class ClipProgress:
    """done of total frames; rate in frames per second of work and left in seconds: 0 while unknown."""

    stage: str  # decode, detect, fit, refine
    fraction: float
    done: int
    total: int
    rate: float = 0.0
    left: float = 0.0
