# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the panel, stored in the scene and saved with the .blend."""

from __future__ import annotations

import zlib
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)
from bpy.types import PropertyGroup

from .. import runtime

DEFAULT_MODEL = ("keypoint-fit", "Keypoint Fit", "Fits the open body to the keypoints of each person")

_items: list[tuple[str, str, str, int]] = []  # Blender keeps no reference to the strings of a dynamic enum


def _model_items(settings: object, context: bpy.types.Context | None) -> list[tuple[str, str, str, int]]:
    models = runtime.state.session.models
    rows = [
        (m["name"], f"{m['label']}{'' if m['ready'] else ' (not ready)'}", m["hint"] or f"Results: {m['license']}")
        for m in models
    ] or [DEFAULT_MODEL]
    rows.sort(key=lambda row: row[0] != DEFAULT_MODEL[0])  # the default comes first
    # the stored number is a hash of the name, so that the choice survives a change of the list; 0 is the default
    numbered = [(*row, zlib.crc32(row[0].encode()) & 0x7FFFFFFF if row[0] != DEFAULT_MODEL[0] else 0) for row in rows]
    if numbered != _items:
        _items[:] = numbered
    return _items


class RecoverMeshPhoto(PropertyGroup):
    path: StringProperty(name="Photo", subtype="FILE_PATH")


class RecoverMeshClipPerson(PropertyGroup):
    """A person whom the last run found in the clip.  first, last: frames from 0.  seen: how many have a detection."""

    id: IntProperty()
    first: IntProperty()
    last: IntProperty()
    seen: IntProperty()
    use: BoolProperty(name="Recover", description="Recover this person", default=True)
    kept: BoolProperty(default=True)  # what `use` was when the clip was recovered
    select: BoolProperty(name="Select", description="Choose this person for Merge or Split Here")


class RecoverMeshClipEdit(PropertyGroup):
    """An edit of track ids in the form of the job file: merge, id, other id, 0; or split, id, frame, new id."""

    kind: StringProperty()
    person: IntProperty()
    second: IntProperty()
    new: IntProperty()


class RecoverMeshClipSettings(PropertyGroup):
    path: StringProperty(
        name="Clip",
        description="A video, or one image of a numbered image sequence",
        subtype="FILE_PATH",
    )
    movie_clip: PointerProperty(
        name="Movie Clip", type=bpy.types.MovieClip, description="A clip that is already in Blender"
    )
    use_range: BoolProperty(name="Range", description="Recover only some frames")
    first: IntProperty(name="First", description="First frame of the clip, counted from 1", default=1, min=1)
    last: IntProperty(name="Last", description="Last frame of the clip, counted from 1", default=100, min=1)
    step: IntProperty(name="Step", description="Recover every so many frames", default=1, min=1, max=100)
    start: IntProperty(
        name="Start Frame", description="Frame of the scene that shows the clip's first frame", default=1
    )
    match_rate: BoolProperty(
        name="Use Clip's Frame Rate", description="Give the scene the frame rate of the clip", default=True
    )
    smoothing: FloatProperty(
        name="Smoothing",
        description="How much jitter is removed. Fast motion stays",
        default=0.5,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    foot_lock: EnumProperty(
        name="Foot Lock",
        description="Keep feet on the ground in place",
        items=(
            ("auto", "Auto", "A foot on the ground does not slide"),
            ("always", "Always", "In every frame the lower foot is on the ground"),
            ("never", "Never", "Feet are left free, as in jumping, swimming or dancing on wheels"),
        ),
    )
    height: FloatProperty(
        name="Height",
        description="Height of the person who is seen longest; it sets the scale of everything. 0: unknown",
        min=0.0,
        max=2.6,
        subtype="DISTANCE",
    )
    focal: FloatProperty(
        name="Focal Length (px)",
        description="Focal length in pixels of the clip. 0: unknown, estimated from the image size",
        min=0.0,
        max=1e6,
    )
    camera_kind: EnumProperty(
        name="Camera",
        description="What filmed the clip",
        items=(
            ("FIXED", "Fixed", "A camera that does not move. It is created to match the clip"),
            ("SCENE", "Scene Camera", "A camera of this scene that moves as the footage's did (a matchmove)"),
        ),
    )
    camera: PointerProperty(
        name="Object",
        type=bpy.types.Object,
        description="The camera that matches the footage. Empty: the scene's active camera",
        poll=lambda self, obj: obj.type == "CAMERA",
    )
    scene_scale: FloatProperty(
        name="Scene Scale",
        description="Units of the scene per metre. 0: estimated from the feet on the ground (z = 0)",
        min=0.0,
        max=1e4,
    )
    people: CollectionProperty(type=RecoverMeshClipPerson)
    people_of: StringProperty()  # path of the clip that `people` belong to
    people_in: StringProperty()  # key of its frames that were read
    people_start: IntProperty(default=1)  # frame of the scene that showed its first frame
    edits: CollectionProperty(type=RecoverMeshClipEdit)
    applied: StringProperty()  # the edits of the last run, as JSON
    unedited: StringProperty()  # `people` without any edit, as JSON


class RecoverMeshSettings(PropertyGroup):
    source: EnumProperty(
        name="Source",
        description="What to recover bodies from",
        items=(
            ("FILES", "Files", "Photos on disk"),
            ("IMAGE", "Image", "An image that is already in Blender"),
            ("CLIP", "Clip", "A video or an image sequence"),
        ),
    )
    photos: CollectionProperty(type=RecoverMeshPhoto)
    image: PointerProperty(name="Image", type=bpy.types.Image, description="The photo, as an image in Blender")
    model: EnumProperty(name="Model", description="What recovers the bodies", items=_model_items)
    people: EnumProperty(
        name="People",
        description="The people to recover",
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
    clip: PointerProperty(type=RecoverMeshClipSettings)


def people_argument(settings: RecoverMeshSettings) -> str:
    """`people` of the protocol."""
    return {"ALL": "all", "LARGEST": "largest"}.get(settings.people, str(settings.max_people))


def of_scene(scene: bpy.types.Scene) -> RecoverMeshSettings:
    """The extension's settings in a scene."""
    return scene.recover_mesh  # type: ignore[attr-defined]


def attach() -> None:
    pointer: Any = PointerProperty(type=RecoverMeshSettings)  # type: ignore[func-returns-value]
    bpy.types.Scene.recover_mesh = pointer  # type: ignore[attr-defined]


def detach() -> None:
    del bpy.types.Scene.recover_mesh  # type: ignore[attr-defined]
    _items.clear()


classes = (
    RecoverMeshPhoto,
    RecoverMeshClipPerson,
    RecoverMeshClipEdit,
    RecoverMeshClipSettings,
    RecoverMeshSettings,
)
