"""What recovery answers: plain records of numpy arrays, shared by pipeline, server and exporters."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


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
    pixels: np.ndarray | None = field(
        default=None, repr=False
    )  # uint8 RGB (H, W, 3), upright; stays in the process
    picture: bytes | None = None  # encoded upright PNG, only where the file itself would show otherwise
