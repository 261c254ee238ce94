"""Cameras, detections, tracks and results: records of numpy arrays, shared by pipeline, server and exporters."""

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
    """One body in one image.  All arrays float32, in the camera frame (OpenCV), metres, radians.

    `vertices` are `lbs(poses, betas) + trans`: `poses[0]` rotates the SMPL body frame (y up) into the camera frame
    (y down), so `vertices` project straight onto the photo.
    """

    poses: np.ndarray  # (24, 3) axis-angle, parent-relative, SMPL joint order
    betas: np.ndarray  # (10,)
    trans: np.ndarray  # (3,) SMPL translation, added after skinning
    joints: np.ndarray  # (24, 3)
    vertices: np.ndarray  # (V, 3)
    confidence: np.ndarray  # (24,) 0..1: how well the image supports each joint
    keypoints2d: np.ndarray  # (K, 3) x px, y px, visibility 0..1, as detected
    box: np.ndarray  # (4,) x0 y0 x1 y1 px
    score: float  # detection score 0..1
    reprojection_px: float  # mean distance of visible keypoints to the fitted body's, px
    reprojection_relative: float  # the same over the person's height in the image
    mirrored: bool = False  # a left hand: `poses` and `betas` are those of the body mirrored in x


@dataclass
class FrameResult:
    """The result of one image.  An image without people has an empty list."""

    source: str
    index: int
    camera: Camera
    people: list[RecoveredPerson]
    model: str
    body: str
    license: str
    seconds: dict[str, float] = field(default_factory=dict)  # decode, detect, fit
    notice: str = ""  # a warning for users of the result, e.g. that the weights are for testing only
    pixels: np.ndarray | None = field(default=None, repr=False)  # uint8 RGB (H, W, 3), upright; not sent to clients
    encoded_image: bytes | None = None  # upright PNG, only where Blender would show the file itself differently


@dataclass(frozen=True)
class DetectedPerson:
    """One person in one image.

    `keypoint_set` names the order of the K keypoints (`blazepose33`: MediaPipe's 33 landmarks; `freihand21`: a hand).
    """

    box: np.ndarray  # (4,) float32 x0 y0 x1 y1, px
    score: float  # 0..1
    keypoints2d: np.ndarray  # (K, 3) float32 x px, y px, visibility 0..1; may lie outside the image
    keypoints3d: np.ndarray  # (K, 3) float32 m, origin between the hips, axes of the ray to the person (y down)
    keypoint_set: str
    side: str = ""  # of a hand: "left" or "right"
    roi: np.ndarray | None = None  # (4,) `Region.array` in px: the ROI of the next frame


class PersonDetector(Protocol):
    """Finds the people in an image."""

    name: str

    def detect(self, image: np.ndarray, max_people: int | None = None) -> list[DetectedPerson]:
        """The people in an image (uint8 RGB (H, W, 3)), by size, largest first; an empty list where there are none."""
        ...


@dataclass
class Track:
    """One person over a clip: T rows, one for every recovered frame from the first detection to the last.

    Where the person was not detected, `seen` is False and the row's numbers are 0.
    """

    id: int
    frames: np.ndarray  # (T,) int64, ascending: frame numbers of the clip, from 0
    seen: np.ndarray  # (T,) bool
    boxes: np.ndarray  # (T, 4) float32 x0 y0 x1 y1 px of the upright frame
    scores: np.ndarray  # (T,) float32 0..1
    keypoints2d: np.ndarray  # (T, 33, 3) float32 x px, y px, visibility 0..1 (MediaPipe's landmarks)
    keypoints3d: np.ndarray  # (T, 33, 3) float32 m, origin between the hips, axes of the ray to the person

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class Motion(MotionRows):
    """One body over a clip, T rows with ascending frames; conventions as `RecoveredPerson`.

    With a `view` the camera moves, and the arrays are in the common frame of `backend.geometry.camera_path`.
    """

    id: int
    betas: np.ndarray  # (B,) constant
    joints: np.ndarray  # (T, J, 3)
    keypoints2d: np.ndarray  # (T, K, 3) as detected
    view: View | None = None  # the camera of each row, where it moves


@dataclass(frozen=True)
class World:
    """Camera frame to world (z up, ground at z = 0, metres): x_world = rotation @ x_camera + translation.

    A camera at rest is above the world's origin and looks along +y; pitch and roll are the footage's.  With a moving
    camera, this transforms from the common frame to the artist's world, whose units are `scale` per metre.
    """

    rotation: np.ndarray = field(default_factory=lambda: np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]))
    translation: np.ndarray = field(default_factory=lambda: np.zeros(3))
    scale: float = 1.0

    def points(self, camera_points: np.ndarray) -> np.ndarray:
        """(..., 3) m, camera frame -> (..., 3) m, world."""
        return camera_points @ self.rotation.T + self.translation


@dataclass(frozen=True)
class ClipChunk(MotionRows):
    """N rows, each one person in one frame.  Provisional while the clip is read; final chunks replace all of those."""

    final: bool
    people: np.ndarray  # (P,) int ids
    betas: np.ndarray  # (P, B)
    person: np.ndarray  # (N,) int id of each row
    world: World
    lost: tuple[str, ...] = ()  # sentences on frames that could not be used


@dataclass(frozen=True)
class ClipPeople:
    """The people of a clip, those with the most detections first."""

    ids: np.ndarray  # (P,) int
    first: np.ndarray  # (P,) frame
    last: np.ndarray  # (P,) frame
    seen: np.ndarray  # (P,) number of frames with a detection
    kept: np.ndarray  # (P,) bool: recovered, not left out by the job's settings
    thumbnails: np.ndarray  # (P, H, W, 3) uint8 RGB


@dataclass(frozen=True)
class ClipProgress:
    """`done` of `total` frames; `rate` in frames per second of work, `left` in seconds, both 0 while unknown."""

    stage: str  # decode, detect, fit, refine
    fraction: float
    done: int
    total: int
    rate: float = 0.0
    left: float = 0.0
