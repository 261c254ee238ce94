"""The rows of a clip, declared once: the wire, the npz files, the backend and Blender's scene all iterate over this.

A row is one person in one frame.  To add a quantity, add a field to `MotionRows`; `ROWS`, the wire's `chunk` and the
npz files follow, and whoever makes rows is told by the type checker.

This file runs inside Blender too: standard library and numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

import numpy as np

_ON_THE_WIRE = {"bool": "|u1", "int64": "<i4", "float32": "<f4"}


@dataclass(frozen=True)
class Entry:
    """One array of a person's npz file.  shape: by letters, T rows, J joints, B betas, K keypoints."""

    dtype: str  # as numpy names it
    shape: tuple[str | int, ...]
    doc: str  # meaning and unit
    required: bool = True  # a file without it is not imported

    def array(self, value: Any) -> np.ndarray:
        """As it is written."""
        return np.asarray(value).astype(self.dtype)


@dataclass(frozen=True)
class Row:
    """One quantity of every row.  shape: of one row, J joints."""

    dtype: str  # in memory and in npz files, as numpy names it
    shape: tuple[str | int, ...]
    doc: str  # meaning and unit
    optional: bool = False  # files of before there was such a thing lack it: it is 0 then
    flat: bool = False  # one axis per row in npz files, as AMASS writes poses

    @property
    def wire_dtype(self) -> str:
        return _ON_THE_WIRE[self.dtype]

    @property
    def wire_doc(self) -> str:
        return f"1: {self.doc}" if self.dtype == "bool" else self.doc

    @property
    def entry(self) -> Entry:
        """The same in an npz file."""
        letters = "".join(map(str, self.shape)) if self.flat else ""
        shape = (letters,) if self.flat else self.shape
        return Entry(self.dtype, ("T", *shape), self.doc, not self.optional)

    def zeros(self, count: int, joints: int = 24) -> np.ndarray:
        """`count` rows of nothing."""
        return np.zeros((count, *(joints if n == "J" else int(n) for n in self.shape)), self.dtype)


@dataclass(frozen=True)
class MotionRows:
    """N rows in the camera's frame (OpenCV: x right, y down, z forward); metres, radians.

    Where the camera moves, in the common frame of all rows instead (`backend.geometry.camera_path`).  Where `filled`,
    confidence and reprojection_px are 0.
    """

    frames: Annotated[np.ndarray, Row("int64", (), "frame of the clip, counted from 0")]
    poses: Annotated[
        np.ndarray,
        Row(
            "float32",
            ("J", 3),
            "axis-angle, parent-relative, rad; the root's turns into the camera frame",
            flat=True,
        ),
    ]
    trans: Annotated[np.ndarray, Row("float32", (3,), "SMPL translation in the camera frame, m")]
    confidence: Annotated[np.ndarray, Row("float32", ("J",), "how well the frame supports each joint, 0..1")]
    filled: Annotated[np.ndarray, Row("bool", (), "nobody was seen, the pose is made up from before and after")]
    hidden: Annotated[np.ndarray, Row("bool", (), "filled, and unseen for too long to be shown", optional=True)]
    contacts: Annotated[np.ndarray, Row("bool", (2,), "the left, right foot stands on the ground")]
    reprojection_px: Annotated[np.ndarray, Row("float32", (), "mean reprojection error, px")]


ROWS: dict[str, Row] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(MotionRows, include_extras=True).items()
}

# How a moving camera sees each row
CAMERA_ROWS: dict[str, Entry] = {
    "camera_rotation": Entry("float64", ("T", 3, 3), "common frame to each row's camera", False),
    "camera_translation": Entry("float64", ("T", 3), "common frame to each row's camera, m", False),
    "camera_intrinsics": Entry("float64", ("T", 4), "fx fy cx cy, px", False),
}

# One person of one clip, in the order of the file: what AMASS has too comes first
PERSON_FILE: dict[str, Entry] = {
    "poses": ROWS["poses"].entry,
    "betas": Entry("float32", ("B",), "shape, constant"),
    "trans": ROWS["trans"].entry,
    "mocap_framerate": Entry("float64", (), "rows per second"),
    "gender": Entry("str", (), "neutral", False),
    "joints": Entry("float32", ("T", "J", 3), "camera frame, m", False),
    "frames": ROWS["frames"].entry,
    "keypoints2d": Entry("float32", ("T", "K", 3), "as detected: x px, y px, visibility 0..1", False),
    "camera": Entry("float64", (4,), "fx fy cx cy, px; of a moving camera the mean"),
    "image_size": Entry("int64", (2,), "width, height of the upright frame, px"),
    **{name: row.entry for name, row in ROWS.items()},
    "world_rotation": Entry("float64", (3, 3), "camera frame to world: z up, ground z = 0"),
    "world_translation": Entry("float64", (3,), "camera frame to world, m"),
    "person": Entry("int64", (), "id"),
    "mirrored": Entry("bool", (), "a left hand; never in clips", False),
    **CAMERA_ROWS,
    "scene_scale": Entry("float64", (), "units per metre of the scene that a moving camera is of", False),
    "model": Entry("str", (), "name of the model"),
    "body": Entry("str", (), "name of the body that poses and betas are of"),
    "license": Entry("str", (), "of the result"),
    "source": Entry("str", (), "path of the clip", False),
    "notice": Entry("str", (), "what everybody must know who uses the result", False),
}


def rows_of_file(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The fields of `MotionRows` from a person's npz file.  Raises KeyError where a required one is missing."""
    count = len(arrays["frames"])
    rows = {}
    for name, row in ROWS.items():
        value = row.zeros(count) if row.optional and name not in arrays else arrays[name]
        rows[name] = value.reshape(count, -1, *map(int, row.shape[1:])) if row.flat else value
    return rows
