# SPDX-License-Identifier: GPL-3.0-or-later
"""Position, rotation and intrinsics of a camera of the scene in every frame, for the job's camera file.

Blender's cameras look along -z with y up, OpenCV's along z with y down.  Blender measures lens and shift in an image
whose left edge is at pixel coordinate -0.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np

from ..errors import UserError
from . import person
from .object_data import camera_data

_TO_OPENCV = np.diag([1.0, -1.0, -1.0])


def sample(
    scene: bpy.types.Scene,
    obj: bpy.types.Object,
    frames: Sequence[int],
    start: int,
    size: tuple[int, int],
) -> dict[str, Any]:
    """The content of a camera file.  Raises UserError.

    frames: of the clip, counted from 0; the scene shows frame 0 at `start`.  size: width, height in px of the clip's
    upright frame, independent of the render size.  Constraints, parents, drivers and an animated lens are evaluated.
    The scene's current frame is restored.
    """
    layer = bpy.context.view_layer
    layer.update()
    if obj != scene.camera and layer.objects.get(obj.name) != obj:
        raise UserError(
            f"The camera {obj.name} is not in this view layer, so that Blender does not move it.",
            "Put its collection into the view layer.",
        )
    rotation, position, intrinsics = [], [], []
    with _restore_frame(scene), _bodies_hidden(scene):
        for frame in frames:
            scene.frame_set(start + frame)
            cam = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
            matrix = np.array(cam.matrix_world, np.float64)
            rotation.append(_rotation_of(matrix[:3, :3], obj) @ _TO_OPENCV)
            position.append(matrix[:3, 3])
            intrinsics.append(camera_intrinsics(scene, camera_data(cam), size))
    values = {"rotation": rotation, "position": position, "intrinsics": intrinsics}
    return {
        "recover_mesh": "camera",
        "version": 1,
        "frames": [int(frame) for frame in frames],
        **{name: np.reshape(rows, (len(rows), -1)).tolist() for name, rows in values.items()},
        "image_size": list(size),
    }


def camera_intrinsics(
    scene: bpy.types.Scene, data: bpy.types.Camera, size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy in px of an image of `size`.  Raises UserError unless the camera is perspective."""
    if data.type != "PERSP":
        raise UserError(
            f"The camera {data.name} is {data.type.lower()}; bodies are recovered in perspective.",
            "Choose a perspective camera.",
        )
    aspect_x, aspect_y = scene.render.pixel_aspect_x, scene.render.pixel_aspect_y
    wide, high = size[0] * aspect_x, size[1] * aspect_y
    # by default (AUTO) the sensor's width spans the longer side
    horizontal = data.sensor_fit == "HORIZONTAL" or (data.sensor_fit == "AUTO" and wide >= high)
    sensor = data.sensor_height if data.sensor_fit == "VERTICAL" else data.sensor_width
    side = wide if horizontal else high
    focal = data.lens / sensor * side
    return (
        focal / aspect_x,
        focal / aspect_y,
        size[0] / 2 - 0.5 - data.shift_x * side / aspect_x,
        size[1] / 2 - 0.5 + data.shift_y * side / aspect_y,
    )


def _rotation_of(matrix: np.ndarray, obj: bpy.types.Object) -> np.ndarray:
    """The rotation nearest to a (3, 3) matrix: Blender's cameras ignore scale.  Raises UserError if there is none."""
    lengths = np.linalg.norm(matrix, axis=0)
    if not np.isfinite(matrix).all() or lengths.min() < 1e-9:
        raise UserError(f"The camera {obj.name} has a scale of 0.", "Give it a scale of 1.")
    u, _, vt = np.linalg.svd(matrix / lengths)
    rotation = u @ vt
    if np.linalg.det(rotation) < 0:
        raise UserError(f"The camera {obj.name} is mirrored (a negative scale).", "Give it a scale of 1.")
    return rotation


@contextmanager
def _restore_frame(scene: bpy.types.Scene) -> Iterator[None]:
    """Restore the scene's current frame at the end of the context."""
    frame, part = scene.frame_current, scene.frame_subframe
    try:
        yield
    finally:
        scene.frame_set(frame, subframe=part)


@contextmanager
def _bodies_hidden(scene: bpy.types.Scene) -> Iterator[None]:
    """Hide the body meshes of earlier runs within the context: evaluating them would take most of the time."""
    meshes = [o for o in scene.objects if o.get(person.KIND_KEY) == "body" and not o.hide_viewport]
    for obj in meshes:
        obj.hide_viewport = True
    try:
        yield
    finally:
        for obj in meshes:
            obj.hide_viewport = False
