# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist chooses before the click; saved with the file."""

from __future__ import annotations

import zlib

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)
from bpy.types import PropertyGroup

from . import runtime

DEFAULT_MODEL = ("keypoint-fit", "Keypoint Fit", "Fits the open body to the keypoints of each person")

_items: list[tuple[str, str, str, int]] = []  # Blender keeps no reference to the texts of a dynamic enum


def _model_items(settings: object, context: bpy.types.Context | None) -> list[tuple[str, str, str, int]]:
    models = runtime.state.session.models
    rows = [
        (
            m["name"],
            m["label"] if m["ready"] else f"{m['label']} (not ready)",
            m["hint"] or f"Results: {m['license']}",
        )
        for m in models
    ] or [DEFAULT_MODEL]
    rows.sort(key=lambda row: row[0] != DEFAULT_MODEL[0])  # the default comes first
    # a number made from the name: the choice stays when the list changes; the default is 0, as in a new file
    numbered = [
        (*row, zlib.crc32(row[0].encode()) & 0x7FFFFFFF if row[0] != DEFAULT_MODEL[0] else 0) for row in rows
    ]
    if numbered != _items:
        _items[:] = numbered
    return _items


class RecoverMeshPhoto(PropertyGroup):
    path: StringProperty(name="Photo", subtype="FILE_PATH")


class RecoverMeshSettings(PropertyGroup):
    source: EnumProperty(
        name="Source",
        description="Where the photo comes from",
        items=(
            ("FILES", "Files", "Photos on disk"),
            ("IMAGE", "Image", "An image that is already in Blender"),
        ),
    )
    photos: CollectionProperty(type=RecoverMeshPhoto)
    image: PointerProperty(
        name="Image", type=bpy.types.Image, description="The photo, as an image in Blender"
    )
    model: EnumProperty(name="Model", description="What recovers the bodies", items=_model_items)
    people: EnumProperty(
        name="People",
        description="Whom to recover",
        items=(
            ("ALL", "Everybody", "All people in the photo"),
            ("LARGEST", "Largest", "The person who is largest in the photo"),
            ("COUNT", "At Most", "A number of people, the largest first"),
        ),
    )
    max_people: IntProperty(
        name="Count", description="The greatest number of people per photo", default=2, min=1, max=64
    )
    correctives: BoolProperty(
        name="Pose Correctives",
        description="Shape keys that keep the volume of joints when they bend (about 18 MB per person)",
        default=True,
    )


def people_argument(settings: RecoverMeshSettings) -> str:
    """The wire's `people`."""
    return {"ALL": "all", "LARGEST": "largest"}.get(settings.people, str(settings.max_people))


def attach() -> None:
    bpy.types.Scene.recover_mesh = PointerProperty(type=RecoverMeshSettings)


def detach() -> None:
    del bpy.types.Scene.recover_mesh
    _items.clear()


classes = (RecoverMeshPhoto, RecoverMeshSettings)
