# SPDX-License-Identifier: GPL-3.0-or-later
"""A camera that moves as a result's rows say, for scenes that have not the one that the clip was matched with."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np
from mathutils import Quaternion

from ..protocol_rows import CAMERA_ROWS
from . import basis, camera, fcurves, person
from .clip import ClipInfo, set_background
from .fcurves import Curve


def create(
    scene: bpy.types.Scene,
    collection: bpy.types.Collection,
    info: ClipInfo,
    people: Sequence[dict],
    scale: float,
) -> bpy.types.Object:
    """A keyed camera in `collection`; the scene's own, with the footage behind it, where it has none.

    people: arrays of a clip's npz files.  scale: units of the scene per metre.
    """
    frames, first = np.unique(np.concatenate([one["frames"] for one in people]), return_index=True)
    turn, shift, numbers = (np.concatenate([one[name] for one in people])[first] for name in CAMERA_ROWS)
    photo = info.as_photo()
    eye = camera.create_camera(photo, f"{info.title} Camera", collection, 0.0)
    person.stamp(eye, "camera", photo)
    back = np.swapaxes(turn, 1, 2)  # camera -> common frame
    places = basis.camera_points(-(back @ shift[..., None])[..., 0]) * scale
    # Blender's cameras look along -z with y up
    axes = basis.CAMERA_TO_BLENDER @ back @ np.diag([1.0, -1.0, -1.0])
    turns = basis.continuous(basis.quaternions(axes))
    eye.rotation_mode = "QUATERNION"
    eye.location, eye.rotation_quaternion = places[0].tolist(), Quaternion(turns[0].tolist())
    eye.data.clip_start, eye.data.clip_end = 0.01 * scale, 1000.0 * scale
    keys = info.start + frames
    curves = [Curve("location", k, "Camera", places[:, k]) for k in range(3)]
    curves += [Curve("rotation_quaternion", k, "Camera", turns[:, k]) for k in range(4)]
    fcurves.write(_action(eye, f"{eye.name} Motion"), eye, keys, curves)
    wide, high = info.size
    aspect_x, aspect_y = camera.pixel_aspect(photo)
    longest = max(wide * aspect_x, high * aspect_y)
    lens = numbers[:, 0] * aspect_x * eye.data.sensor_width / longest
    shift_x = (wide / 2 - numbers[:, 2] - 0.5) * aspect_x / longest
    shift_y = (numbers[:, 3] + 0.5 - high / 2) * aspect_y / longest
    curves = [
        Curve(path, 0, "Lens", values)
        for path, values in (("lens", lens), ("shift_x", shift_x), ("shift_y", shift_y))
    ]
    fcurves.write(_action(eye.data, f"{eye.name} Lens"), eye.data, keys, curves)
    if scene.camera is None:
        camera.use_camera(scene, eye, info.size, camera.pixel_aspect(photo))
        set_background(eye.data, info)
        scene.frame_start, scene.frame_end = info.start, info.start + max(info.frames, 1) - 1
    return eye


def _action(target: bpy.types.ID, name: str) -> bpy.types.Action:
    action = fcurves.new_action(target, name)
    action["recover_mesh"] = "motion"
    return action
