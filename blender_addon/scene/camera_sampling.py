# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a camera of the artist is in every frame, whatever moves it, as the job's camera file says it.

Blender's cameras look along -z with y up, OpenCV's along z with y down.  A picture's edge is Blender's measure of
lens and shift; pixel -0.5 begins there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np

from ..errors import UserError
from . import person

_TO_OPENCV = np.diag([1.0, -1.0, -1.0])


def sample(
    scene: bpy.types.Scene,
    obj: bpy.types.Object,
    frames: Sequence[int],
    start: int,
    size: tuple[int, int],
) -> dict[str, Any]:
    """The content of a camera file.

    frames: of the clip, counted from 0; the scene shows the first at `start`.  size: width, height in px of the clip's
    upright frame, whatever the scene renders.  Constraints, parents, drivers and an animated lens count.  The scene's
    frame is put back.  Raises UserError.
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
            intrinsics.append(camera_intrinsics(scene, cam.data, size))
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
    """fx, fy, cx, cy in px of a picture of `size`.  Raises UserError for what is no perspective."""
    if data.type != "PERSP":
        raise UserError(
            f"The camera {data.name} is {data.type.lower()}; bodies are recovered in perspective.",
            "Choose a perspective camera.",
        )
    aspect_x, aspect_y = scene.render.pixel_aspect_x, scene.render.pixel_aspect_y
    wide, high = size[0] * aspect_x, size[1] * aspect_y
    # the sensor's width lies along the longer side, unless the artist has chosen one
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
    """The rotation of a matrix: Blender's cameras know no scale.  Raises UserError where there is none."""
    lengths = np.linalg.norm(matrix, axis=0)
    if not np.isfinite(matrix).all() or lengths.min() < 1e-9:
        raise UserError(f"The camera {obj.name} is scaled to nothing.", "Give it a scale of 1.")
    u, _, vt = np.linalg.svd(matrix / lengths)
    rotation = u @ vt
    if np.linalg.det(rotation) < 0:
        raise UserError(f"The camera {obj.name} is mirrored (a negative scale).", "Give it a scale of 1.")
    return rotation


@contextmanager
def _restore_frame(scene: bpy.types.Scene) -> Iterator[None]:
    frame, part = scene.frame_current, scene.frame_subframe
    try:
        yield
    finally:
        scene.frame_set(frame, subframe=part)


@contextmanager
def _bodies_hidden(scene: bpy.types.Scene) -> Iterator[None]:
    """Without the skins of earlier runs: evaluating them in every frame takes most of the time."""
    skins = [o for o in scene.objects if o.get(person.KIND_KEY) == "body" and not o.hide_viewport]
    for skin in skins:
        skin.hide_viewport = True
    try:
        yield
    finally:
        for skin in skins:
            skin.hide_viewport = False
