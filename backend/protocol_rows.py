"""The rows of a clip, declared once for the protocol, the npz files, the backend and Blender's scene.

A row is one person in one frame.  To add a quantity, add a field to `MotionRows`: `ROWS`, the message `chunk` and the
npz files follow, and the type checker names the code that creates rows.

This file runs inside Blender too: standard library and numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

import numpy as np

_WIRE_DTYPES = {"bool": "|u1", "int64": "<i4", "float32": "<f4"}


@dataclass(frozen=True)
class Entry:
    """One array of a person's npz file.  Letters in `shape`: T rows, J joints, B betas, K keypoints."""

    dtype: str  # as numpy names it
    shape: tuple[str | int, ...]
    doc: str  # meaning and unit
    required: bool = True  # a file without it is not imported

    def array(self, value: Any) -> np.ndarray:
        """`value` with the file's dtype."""
        return np.asarray(value).astype(self.dtype)


@dataclass(frozen=True)
class Row:
    """One quantity of every row.  shape: of one row; the letter J: joints."""

    dtype: str  # in memory and in npz files, as numpy names it
    shape: tuple[str | int, ...]
    doc: str  # meaning and unit
    optional: bool = False  # older files lack it: it is read as 0
    flat: bool = False  # flattened to one axis per row in npz files, as AMASS writes poses

    @property
    def wire_dtype(self) -> str:
        return _WIRE_DTYPES[self.dtype]

    @property
    def wire_doc(self) -> str:
        return f"1: {self.doc}" if self.dtype == "bool" else self.doc

    @property
    def entry(self) -> Entry:
        """The quantity's array in an npz file."""
        letters = "".join(map(str, self.shape)) if self.flat else ""
        shape = (letters,) if self.flat else self.shape
        return Entry(self.dtype, ("T", *shape), self.doc, not self.optional)

    def zeros(self, count: int, joints: int = 24) -> np.ndarray:
        """`count` rows of zeros."""
        return np.zeros((count, *(joints if n == "J" else int(n) for n in self.shape)), self.dtype)


@dataclass(frozen=True)
class MotionRows:
    """N rows in the camera frame (OpenCV: x right, y down, z forward); metres, radians.

    With a moving camera, in the common frame of `backend.geometry.camera_path` instead.  Where `filled`, confidence and
    reprojection_px are 0.
    """

    frames: Annotated[np.ndarray, Row("int64", (), "frame of the clip, counted from 0")]
    poses: Annotated[
        np.ndarray,
        Row("float32", ("J", 3), "axis-angle, parent-relative, rad; joint 0 rotates into the camera frame", flat=True),
    ]
    trans: Annotated[np.ndarray, Row("float32", (3,), "SMPL translation in the camera frame, m")]
    confidence: Annotated[np.ndarray, Row("float32", ("J",), "how well the frame supports each joint, 0..1")]
    filled: Annotated[np.ndarray, Row("bool", (), "no detection, the pose is interpolated")]
    hidden: Annotated[
        np.ndarray, Row("bool", (), "filled, in a gap too long for the person to be shown", optional=True)
    ]
    contacts: Annotated[np.ndarray, Row("bool", (2,), "the left, right foot is on the ground")]
    reprojection_px: Annotated[np.ndarray, Row("float32", (), "mean reprojection error, px")]


ROWS: dict[str, Row] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(MotionRows, include_extras=True).items()
}

# Of a moving camera, per row
CAMERA_ROWS: dict[str, Entry] = {
    "camera_rotation": Entry("float64", ("T", 3, 3), "common frame to each row's camera frame", False),
    "camera_translation": Entry("float64", ("T", 3), "common frame to each row's camera frame, m", False),
    "camera_intrinsics": Entry("float64", ("T", 4), "fx fy cx cy, px", False),
}

# One person of one clip, in the order of the file; AMASS's arrays come first
PERSON_FILE: dict[str, Entry] = {
    "poses": ROWS["poses"].entry,
    "betas": Entry("float32", ("B",), "shape, constant"),
    "trans": ROWS["trans"].entry,
    "mocap_framerate": Entry("float64", (), "rows per second"),
    "gender": Entry("str", (), "neutral", False),
    "joints": Entry("float32", ("T", "J", 3), "camera frame, m", False),
    "frames": ROWS["frames"].entry,
    "keypoints2d": Entry("float32", ("T", "K", 3), "as detected: x px, y px, visibility 0..1", False),
    "camera": Entry("float64", (4,), "fx fy cx cy, px; the mean of a moving camera's"),
    "image_size": Entry("int64", (2,), "width, height of the upright frame, px"),
    **{name: row.entry for name, row in ROWS.items()},
    "world_rotation": Entry("float64", (3, 3), "camera frame to world: z up, ground z = 0"),
    "world_translation": Entry("float64", (3,), "camera frame to world, m"),
    "person": Entry("int64", (), "track id"),
    "mirrored": Entry("bool", (), "a left hand; never in clips", False),
    **CAMERA_ROWS,
    "scene_scale": Entry("float64", (), "units per metre of a moving camera's scene", False),
    "model": Entry("str", (), "name of the model"),
    "body": Entry("str", (), "name of the body that poses and betas belong to"),
    "license": Entry("str", (), "of the result"),
    "source": Entry("str", (), "path of the clip", False),
    "notice": Entry("str", (), "a warning for users of the result", False),
}


def rows_of_file(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The fields of `MotionRows` from a person's npz file.  Raises KeyError where a required one is missing."""
    count = len(arrays["frames"])
    rows = {}
    for name, row in ROWS.items():
        value = row.zeros(count) if row.optional and name not in arrays else arrays[name]
        rows[name] = value.reshape(count, -1, *map(int, row.shape[1:])) if row.flat else value
    return rows
