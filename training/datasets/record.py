"""The record: one row of any benchmark in one set of units and frames, the input of the preparers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class ImageSource(Protocol):
    """The location of an image: a file, a row of a TSV, a frame of a clip.  Can be pickled."""

    def read(self) -> np.ndarray:
        """uint8 RGB (H, W, 3), as stored (no EXIF rotation).  Raises BadInput with file and row."""
        ...


@dataclass(frozen=True)
class Record:
    """One person or hand in one image, or one pose without an image.

    Lengths in metres and pixels (pixel centres at integers), angles in radians, 3D in the camera frame (x right, y
    down, z forward).  Without a camera (METRO's files) 3D has the same axes and the file's own origin, mostly the
    pelvis: subtract the root before use.  A missing label is None, never zeros.
    A record with `weak_camera` has no `camera`: x px = scale * X + tx, y px = scale * Y + ty, with X of the body posed
    by `pose` and `betas`, without trans.
    """

    key: str  # unique within the data set; names file and row in errors
    dataset: str  # e.g. "human36m"
    joint_set: str  # name in `training.datasets.joint_sets`: the order of joints2d and joints3d
    image: ImageSource | None = None
    image_size: tuple[int, int] | None = None  # width, height, px
    center: np.ndarray | None = None  # (2,) px: of the person's square box
    side: float = 0.0  # px: the box's side (200 x METRO's `scale`)
    box: np.ndarray | None = None  # (4,) x0 y0 x1 y1 px, where the benchmark has a tight one
    joints2d: np.ndarray | None = None  # (K, 3) float32: x px, y px, confidence or visibility 0..1
    joints3d: np.ndarray | None = None  # (K, 4) float32: x y z m, confidence 0..1
    # (K, 3) float32: a detector's 2D joints, published with the benchmark; of `detected_set`, or else of `joint_set`
    detected2d: np.ndarray | None = None
    detected_set: str | None = None
    # (72,) SMPL or (48,) MANO axis-angle, parent-relative; the root's into the camera frame.  MANO's 45 finger values
    # are relative to its mean pose, as in its files (flat_hand_mean False): add the body's `hand_mean` before posing.
    pose: np.ndarray | None = None
    betas: np.ndarray | None = None  # (10,)
    trans: np.ndarray | None = None  # (3,) m, of the body model, camera frame
    gender: str = "neutral"
    camera: np.ndarray | None = None  # (4,) fx fy cx cy px
    weak_camera: np.ndarray | None = None  # (3,) scale px/m, tx px, ty px
    fit_error: float | None = None  # of pose and betas against the joints, in the benchmark's own unit: mm or px
    subject: str = ""  # subject or sequence, for splits and groups
