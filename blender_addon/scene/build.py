# SPDX-License-Identifier: GPL-3.0-or-later
"""A photo's result in the scene: a collection with its camera and its people, rolled back on an error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import bpy

from . import camera, person, skinning
from .object_data import camera_data
from .records import Body, Photo, check_match

# Types of data-blocks that building may create, and that are removed after an error
_TYPES = (
    "objects", "meshes", "armatures", "cameras", "shape_keys", "materials", "images", "collections", "actions",
)  # fmt: skip


def build_photo(
    photo: Photo,
    body: Body,
    *,
    image: bpy.types.Image | None = None,
    with_correctives: bool = True,
    scene: bpy.types.Scene | None = None,
) -> bpy.types.Collection:
    """The new collection of a photo with its people, shown through its camera.

    image: the photo, if it is an image in Blender and not a file.  Raises UserError for a result that does not fit
    the body.  After any error everything that was built is removed.
    """
    check_match(photo, body)
    camera.check_intrinsics(photo)
    scene = scene or bpy.context.scene
    title = os.path.splitext(os.path.basename(photo.source))[0] or "Photo"
    with _remove_on_error():
        collection = bpy.data.collections.new(title)
        scene.collection.children.link(collection)
        person.set_provenance(collection, "photo", photo)
        collection["image_size"] = list(photo.size)
        collection["pixel_aspect"] = list(camera.pixel_aspect(photo))
        height = -min((skinning.lowest_point(body.body_for(one), one) for one in photo.people), default=0.0)
        cam = camera.create_camera(photo, f"{title} Camera", collection, height)
        person.set_provenance(cam, "camera", photo)
        background = camera.load_background(photo, image)
        if background is not None:
            camera.new_background(camera_data(cam)).image = background
        for k, one in enumerate(photo.people):
            label = body.display_name(one)
            name = f"{title} {label} {k + 1}" if len(photo.people) > 1 else f"{title} {label}"
            person.create_person(
                body.body_for(one), one, photo, name, k, collection, height, with_correctives=with_correctives
            )
    show_photo(scene, collection)
    return collection


def photos(scene: bpy.types.Scene) -> list[bpy.types.Collection]:
    """The collections of photos in a scene, oldest first."""
    return [c for c in scene.collection.children_recursive if c.get(person.KIND_KEY) == "photo"]


def show_photo(scene: bpy.types.Scene, collection: bpy.types.Collection) -> None:
    """Look through one photo's camera and hide the other photos, whose people would be in the same position."""
    for window_layer in scene.view_layers:
        for other in photos(scene):
            layer = _find_layer(window_layer.layer_collection, other)
            if layer is not None:
                layer.exclude = other != collection
    cam = next((o for o in collection.objects if o.get(person.KIND_KEY) == "camera"), None)
    if cam is not None:
        camera.use_camera(scene, cam, tuple(collection["image_size"]), tuple(collection["pixel_aspect"]))


def is_shown(view_layer: bpy.types.ViewLayer, collection: bpy.types.Collection) -> bool:
    layer = _find_layer(view_layer.layer_collection, collection)
    return layer is not None and not layer.exclude


def _find_layer(layer: bpy.types.LayerCollection, collection: bpy.types.Collection) -> bpy.types.LayerCollection | None:
    if layer.collection == collection:
        return layer
    for child in layer.children:
        found = _find_layer(child, collection)
        if found is not None:
            return found
    return None


@contextmanager
def _remove_on_error() -> Iterator[None]:
    # ids and not references, which become invalid when Blender reallocates its data
    before = {kind: {one.session_uid for one in getattr(bpy.data, kind)} for kind in _TYPES}
    try:
        yield
    except BaseException:
        new = [one for kind in _TYPES for one in getattr(bpy.data, kind) if one.session_uid not in before[kind]]
        bpy.data.batch_remove(ids=new)
        raise
