# SPDX-License-Identifier: GPL-3.0-or-later
"""A camera with the intrinsics of the photo's, and the photo as its background."""

from __future__ import annotations

import math
import os
from typing import Any

import bpy

from ..errors import UserError
from .records import Photo

SENSOR_MM = 36.0


def create_camera(photo: Photo, name: str, collection: bpy.types.Collection, camera_height: float) -> bpy.types.Object:
    """A new camera object `camera_height` metres above the origin, looking along +y."""
    data = bpy.data.cameras.new(name)
    obj = bpy.data.objects.new(name, data)
    collection.objects.link(obj)
    obj.location = (0.0, 0.0, camera_height)
    obj.rotation_euler = (math.pi / 2, 0.0, 0.0)
    set_intrinsics(data, photo)
    data.clip_start = 0.01
    data.clip_end = max(100.0, 2.0 * max((float(p.trans[2]) for p in photo.people), default=0.0) + 10.0)
    data.display_size = 0.2
    return obj


def set_intrinsics(data: bpy.types.Camera, photo: Photo) -> None:
    """Set lens and shift from the photo's intrinsics.

    Blender measures the shift from the middle of the image, whose left edge is at pixel coordinate -0.5.
    """
    fx, _, cx, cy = photo.camera
    width, height = photo.size
    aspect_x, aspect_y = pixel_aspect(photo)
    wide, high = width * aspect_x, height * aspect_y
    longest = max(wide, high)
    data.type = "PERSP"
    data.sensor_fit = "AUTO"
    # Blender's shortest lens is 1 mm; a wider sensor gives the same angle with a longer one
    data.sensor_width = max(SENSOR_MM, 1.1 * longest / (fx * aspect_x))
    data.lens = fx * aspect_x * data.sensor_width / longest
    data.shift_x = (wide / 2 - (cx + 0.5) * aspect_x) / longest
    data.shift_y = ((cy + 0.5) * aspect_y - high / 2) / longest


def pixel_aspect(photo: Photo) -> tuple[float, float]:
    """Blender's pixel aspect x and y (each at least 1) for a camera whose fx and fy differ."""
    fx, fy = photo.camera[:2]
    if abs(fy / fx - 1) < 1e-6:
        return 1.0, 1.0
    return max(1.0, fy / fx), max(1.0, fx / fy)


def new_background(data: bpy.types.Camera) -> bpy.types.CameraBackgroundImage:
    """An empty background image, behind the scene in the camera's view, in place of earlier ones."""
    data.background_images.clear()
    background = data.background_images.new()
    background.frame_method = "FIT"
    background.display_depth = "BACK"
    background.alpha = 1.0
    data.show_background_images = True
    return background


def load_background(photo: Photo, image: bpy.types.Image | None = None) -> bpy.types.Image | None:
    """The upright image that the backend read: its PNG, packed; or `image`; or the file.

    None if the file no longer exists: the bodies are shown without it.
    """
    if photo.upright_png is not None:
        packed = bpy.data.images.new(os.path.basename(photo.source) or "Photo", *photo.size)
        packed.source = "FILE"
        packed.pack(data=photo.upright_png, data_len=len(photo.upright_png))
        return packed
    if image is not None:
        return image
    path = bpy.path.abspath(photo.source)
    try:
        return bpy.data.images.load(path, check_existing=True) if os.path.isfile(path) else None
    except RuntimeError:
        return None


def use_camera(
    scene: bpy.types.Scene, obj: bpy.types.Object, photo_size: tuple[int, int], aspect: tuple[float, float]
) -> None:
    """Make `obj` the scene's camera, set the render size, and look through it in the open 3D viewports."""
    scene.camera = obj
    render = scene.render
    render.resolution_x, render.resolution_y = photo_size
    render.resolution_percentage = 100
    render.pixel_aspect_x, render.pixel_aspect_y = aspect
    for window in bpy.context.window_manager.windows:
        if window.scene != scene:
            continue
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                space: Any = area.spaces.active
                space.region_3d.view_perspective = "CAMERA"
                space.region_3d.view_camera_zoom = 0.0
                space.region_3d.view_camera_offset = (0.0, 0.0)


def check_intrinsics(photo: Photo) -> None:
    """Check the intrinsics.  Raises UserError for those that no camera of Blender can have."""
    fx, fy, cx, cy = photo.camera
    if min(fx, fy) <= 0 or min(photo.size) < 1 or not all(map(math.isfinite, (fx, fy, cx, cy))):
        raise UserError(
            f"The result's camera is invalid (focal length {fx:g} x {fy:g} px, image {photo.size}).",
            "Recover the photo again.",
        )
