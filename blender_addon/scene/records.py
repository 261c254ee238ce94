# SPDX-License-Identifier: GPL-3.0-or-later
"""Body models and results as arrays, from the protocol's messages and from npz files.  No bpy here."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import UserError
from . import basis

# What numpy may raise on a file that is damaged, encrypted or of another format
READ_ERRORS = (
    OSError, ValueError, EOFError, TypeError, AttributeError, RuntimeError, MemoryError, OverflowError,
    struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class Body:
    """A body model in SMPL's format: y up, facing +z, metres.  P: number of pose correctives, 9 (J - 1) or 0."""

    name: str
    license: str
    joint_names: tuple[str, ...]
    v_template: np.ndarray  # (V, 3)
    faces: np.ndarray  # (F, 3)
    shapedirs: np.ndarray  # (V, 3, B)
    posedirs: np.ndarray  # (V, 3, P)
    weights: np.ndarray  # (V, J)
    parents: np.ndarray  # (J,), -1 for the root
    joints_template: np.ndarray  # (J, 3)
    joints_shapedirs: np.ndarray  # (J, 3, B)
    uv: np.ndarray | None = None  # (3 F, 2)

    @property
    def floor(self) -> float:
        """Height of the origin above the lowest vertex at betas 0, m: in Blender the body is raised by it."""
        return -float(basis.body_points(self.v_template)[:, 2].min())

    def display_name(self, person: Person) -> str:
        """A person's name in the outliner: Person, Left Hand or Right Hand."""
        if self.joint_names[0] != "wrist":
            return "Person"
        return "Left Hand" if person.mirrored else "Right Hand"

    def body_for(self, person: Person) -> Body:
        """The body model of a person: this one, or for a left hand its mirror image."""
        return self.mirrored() if person.mirrored else self

    def mirrored(self) -> Body:
        """The mirror image in x.

        A rotation R of this body model is M R M of the mirrored one, M = diag(-1, 1, 1).  The order of each face's
        vertices is reversed, so that normals point outward.
        """
        flip = np.array([-1.0, 1.0, 1.0], np.float32)
        features = np.tile(np.outer(flip, flip).ravel(), max(self.posedirs.shape[2] // 9, 0))
        return replace(
            self,
            v_template=self.v_template * flip,
            faces=np.ascontiguousarray(self.faces[:, ::-1]),
            shapedirs=self.shapedirs * flip[:, None],
            posedirs=self.posedirs * flip[:, None] * features[: self.posedirs.shape[2]],
            joints_template=self.joints_template * flip,
            joints_shapedirs=self.joints_shapedirs * flip[:, None],
            uv=None if self.uv is None else self.uv.reshape(-1, 3, 2)[:, ::-1].reshape(-1, 2),
        )

    def rest_joints(self, betas: np.ndarray) -> np.ndarray:
        """(J, 3) joints in the rest pose, body frame.  betas: (B,)."""
        return self.joints_template + self.joints_shapedirs @ betas


@dataclass(frozen=True)
class Person:
    """One recovered body, in the camera frame (x right, y down, z forward)."""

    poses: np.ndarray  # (J, 3)
    betas: np.ndarray  # (B,)
    trans: np.ndarray  # (3,)
    confidence: np.ndarray  # (J,) 0..1
    vertices: np.ndarray | None = None  # (V, 3), used only for the lowest point
    reprojection_px: float = 0.0
    reprojection_relative: float = 0.0
    mirrored: bool = False  # a left hand, whose body model is the mirrored one


@dataclass(frozen=True)
class Photo:
    """A photo and its people.  camera: fx, fy, cx, cy in px; pixel centres are at integers."""

    source: str  # path, or the name of an image in Blender
    size: tuple[int, int]  # width, height of the upright image
    camera: tuple[float, float, float, float]
    model: str
    body: str
    license: str
    people: list[Person]
    upright_png: bytes | None = field(default=None, repr=False)  # the upright image, if the file would show otherwise
    notice: str = ""  # a warning for the user, as that the weights are for testing


def body_from_wire(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Body:
    """The body model of the protocol's `body` message."""
    fields = {name: array for name, array in arrays.items() if name != "part_ids"}
    return Body(header["name"], header["license"], tuple(header["joint_names"]), **fields)


def photo_from_wire(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], source: str = "") -> Photo:
    """The photo of the protocol's `result` message.  source: its name, if the message has none: an encoded image."""
    fx, fy, cx, cy, width, height = header["camera"]
    people = [
        Person(
            **{name: arrays[name][k] for name in ("poses", "betas", "trans", "confidence", "vertices")},
            reprojection_px=float(header["reprojection_px"][k]),
            reprojection_relative=float(header["reprojection_relative"][k]),
            mirrored="mirrored" in arrays and bool(arrays["mirrored"][k]),
        )
        for k in range(len(arrays["poses"]))
    ]
    upright_png = arrays.get("picture")
    return Photo(
        source=header["source"] or source,
        size=(int(width), int(height)),
        camera=(float(fx), float(fy), float(cx), float(cy)),
        people=people,
        **{name: header[name] for name in ("model", "body", "license")},
        upright_png=None if upright_png is None else upright_png.tobytes(),
        notice=header.get("notice", ""),
    )


def body_from_npz(path: str) -> Body:
    """The body model in a file of the protocol's `body` arrays, `name`, `license`, `joint_names`.  Raises UserError."""
    data = load_npz(path)
    try:
        header = {
            "name": str(data.pop("name")),
            "license": str(data.pop("license")),
            "joint_names": [str(name) for name in data.pop("joint_names")],
        }
        known = {n: data[n] for n in Body.__dataclass_fields__ if n in data}
        return body_from_wire(header, known)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not a body for Blender ({_reason(error)}).", "Let the command line write it."
        ) from None


def photo_from_npz(paths: Sequence[str]) -> Photo:
    """The photo of the files that `recover-mesh recover` writes, one per person; of each the first frame.

    Raises UserError.
    """
    people: list[Person] = []
    first: dict[str, np.ndarray] | None = None
    for path in paths:
        data = load_npz(path)
        try:
            person = Person(
                poses=data["poses"][0].reshape(-1, 3).astype(np.float32),
                betas=data["betas"].astype(np.float32),
                trans=data["trans"][0].astype(np.float32),
                confidence=data["confidence"][0].astype(np.float32),
                reprojection_px=float(data.get("reprojection_px", 0.0)),
                reprojection_relative=float(data.get("reprojection_relative", 0.0)),
                mirrored=bool(data.get("mirrored", False)),
            )
            same = first is None or all(
                np.array_equal(first[k], data[k]) for k in ("camera", "image_size", "body", "model")
            )
        except (KeyError, IndexError, ValueError) as error:
            raise UserError(
                f"{os.path.basename(path)} is not a result of Recover Mesh ({_reason(error)}).",
                "Choose an .npz file that `recover-mesh recover` wrote.",
            ) from None
        if not same:
            raise UserError(
                f"{os.path.basename(path)} belongs to another photo than the first file.",
                "Import the people of one photo at a time.",
            )
        first = first or data
        people.append(person)
    if first is None:
        raise UserError("No result was given.", "Choose at least one .npz file.")
    width, height = (int(n) for n in first["image_size"])
    fx, fy, cx, cy = (float(n) for n in first["camera"])
    return Photo(
        source=str(first.get("source", "")),
        size=(width, height),
        camera=(fx, fy, cx, cy),
        model=str(first["model"]),
        body=str(first["body"]),
        license=str(first["license"]),
        people=people,
    )


def check_match(photo: Photo, body: Body) -> None:
    """Check that the result was made for this body model.  Raises UserError."""
    check_name(photo.body, body)
    joints, betas = len(body.joint_names), body.shapedirs.shape[2]
    for person in photo.people:
        if person.poses.shape != (joints, 3) or person.betas.shape != (betas,):
            raise UserError(
                f"The result has {len(person.poses)} joints and {len(person.betas)} betas, "
                f"the body {body.name!r} has {joints} and {betas}.",
                "Recover the photo again.",
            )
        if not all(np.isfinite(a).all() for a in (person.poses, person.betas, person.trans)):
            raise UserError("The result contains values that are not numbers.", "Recover the photo again.")


def check_name(name: str, body: Body) -> None:
    """Raises UserError unless this is the body model `name` of a result."""
    if name != body.name:
        message = f"The result was made for the body {name!r}, this is {body.name!r}."
        raise UserError(message, f"Give the body {name!r}.")


def load_npz(path: str) -> dict[str, np.ndarray]:
    """The arrays in an npz file.  Raises UserError."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except READ_ERRORS as error:
        raise UserError(
            f"{os.path.basename(path)} cannot be read ({error}).",
            "Choose an .npz file that `recover-mesh` wrote.",
        ) from None


def _reason(error: Exception) -> str:
    return f"it lacks {error.args[0]}" if isinstance(error, KeyError) else str(error)
