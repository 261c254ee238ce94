"""What recovery answers: plain records of numpy arrays, shared by pipeline, server and exporters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from backend.protocol_rows import MotionRows

if TYPE_CHECKING:
    from backend.geometry.camera_path import View


@dataclass(frozen=True)
class Camera:
    """Pinhole camera, OpenCV convention (x right, y down, z forward), pixel centres at integers.

    `fx fy cx cy` are pixels of the upright, full-size image of `width` x `height` pixels.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) metres in the camera frame -> (..., 2) pixels."""
        z = np.maximum(points[..., 2:], 1e-3)
        return points[..., :2] / z * np.array([self.fx, self.fy]) + np.array([self.cx, self.cy])


@dataclass
class RecoveredPerson:
    """One body in one image.  All arrays float32; frame: the camera's (OpenCV), metres, radians.

    The body stands where `lbs(poses, betas) + trans` puts it: `poses[0]` turns the SMPL body frame (y up) into the
    camera frame (y down), so that `vertices` project straight onto the photo.
    """

    poses: np.ndarray  # (24, 3) axis-angle, parent-relative, SMPL joint order
    betas: np.ndarray  # (10,)
    trans: np.ndarray  # (3,) SMPL translation, added after skinning
    joints: np.ndarray  # (24, 3)
    vertices: np.ndarray  # (V, 3)
    confidence: np.ndarray  # (24,) 0..1: how well the photo supports each joint
    keypoints2d: np.ndarray  # (K, 3) x px, y px, visibility 0..1, as detected
    box: np.ndarray  # (4,) x0 y0 x1 y1 px
    score: float  # detection score 0..1
    reprojection_px: float  # mean distance of visible keypoints to the fitted body's, px
    reprojection_relative: float  # the same over the person's height in the picture
    mirrored: bool = False  # a left hand: `poses` and `betas` are those of the body mirrored in x


@dataclass
class FrameResult:
    """One image.  No people is an answer, not an error."""

    source: str
    index: int
    camera: Camera
    people: list[RecoveredPerson]
    model: str
    body: str
    license: str
    seconds: dict[str, float] = field(default_factory=dict)  # decode, detect, fit
    notice: str = ""  # what everybody must know who uses the result, e.g. that the weights are for testing
    pixels: np.ndarray | None = field(default=None, repr=False)  # uint8 RGB (H, W, 3), upright; stays in the process
    encoded_image: bytes | None = None  # encoded upright PNG, only where the file itself would show otherwise


@dataclass(frozen=True)
class DetectedPerson:
    """One person in one image.

    `keypoint_set` names the order of the K keypoints (`blazepose33`: MediaPipe's 33 landmarks; `freihand21`: a hand).
    """

    box: np.ndarray  # (4,) float32 x0 y0 x1 y1, px
    score: float  # 0..1
    keypoints2d: np.ndarray  # (K, 3) float32 x px, y px, visibility 0..1; may lie outside the image
    keypoints3d: np.ndarray  # (K, 3) float32 metres, origin between the hips, camera axes (x right, y down, z forward)
    keypoint_set: str
    side: str = ""  # of a hand: "left" or "right"
    roi: np.ndarray | None = None  # (4,) `Region.array` in px: where to look in the next frame


class PersonDetector(Protocol):
    """Finds the people in an image.  Nobody is an empty list, not an error."""

    name: str

    def detect(self, image: np.ndarray, max_people: int | None = None) -> list[DetectedPerson]:
        """image: uint8 RGB (H, W, 3).  Returns people sorted by size in the picture, largest first."""
        ...


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


@dataclass(frozen=True)
class Motion(MotionRows):
    """One body through a clip, T rows with ascending frames.

    With a `view` the camera moves, and the frame is the common one of `backend.geometry.camera_path`.
    The body stands where `lbs(poses, betas) + trans` puts it, as in `backend.structures.RecoveredPerson`.
    """

    id: int
    betas: np.ndarray  # (B,) constant
    joints: np.ndarray  # (T, J, 3)
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
class ClipChunk(MotionRows):
    """N rows, each one person in one frame.  Provisional ones come while the clip is read; final ones replace them."""

    final: bool
    people: np.ndarray  # (P,) int ids
    betas: np.ndarray  # (P, B)
    person: np.ndarray  # (N,) int id of each row
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
