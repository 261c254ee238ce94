# SPDX-License-Identifier: GPL-3.0-or-later
"""An animated camera from a result's camera path, for scenes without the matchmove of the clip."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np
from mathutils import Quaternion

from ..protocol_rows import CAMERA_ROWS
from . import basis, camera, fcurves, person
from .fcurves import Curve
from .footage import ClipInfo, set_background
from .object_data import camera_data


def create(
    scene: bpy.types.Scene,
    collection: bpy.types.Collection,
    info: ClipInfo,
    people: Sequence[dict],
    scale: float,
) -> None:
    """Create a keyframed camera in `collection`.  A scene without a camera gets it, with the clip as its background.

    people: arrays of a clip's npz files.  scale: units of the scene per metre.
    """
    frames, first = np.unique(np.concatenate([one["frames"] for one in people]), return_index=True)
    rotation, translation, intrinsics = (np.concatenate([one[name] for one in people])[first] for name in CAMERA_ROWS)
    photo = info.as_photo()
    cam = camera.create_camera(photo, f"{info.title} Camera", collection, 0.0)
    person.set_provenance(cam, "camera", photo)
    to_common = np.swapaxes(rotation, 1, 2)  # camera -> common frame
    positions = basis.camera_points(-(to_common @ translation[..., None])[..., 0]) * scale
    # Blender's cameras look along -z with y up
    axes = basis.CAMERA_TO_BLENDER @ to_common @ np.diag([1.0, -1.0, -1.0])
    rotations = basis.continuous_quaternions(basis.quaternions(axes))
    cam.rotation_mode = "QUATERNION"
    cam.location, cam.rotation_quaternion = positions[0].tolist(), Quaternion(rotations[0].tolist())
    data = camera_data(cam)
    data.clip_start, data.clip_end = 0.01 * scale, 1000.0 * scale
    keys = info.start + frames
    curves = [Curve("location", k, "Camera", positions[:, k]) for k in range(3)]
    curves += [Curve("rotation_quaternion", k, "Camera", rotations[:, k]) for k in range(4)]
    fcurves.write(fcurves.new_action(cam, f"{cam.name} Motion", "motion"), cam, keys, curves)
    wide, high = info.size
    aspect_x, aspect_y = camera.pixel_aspect(photo)
    longest = max(wide * aspect_x, high * aspect_y)
    lens = intrinsics[:, 0] * aspect_x * data.sensor_width / longest
    shift_x = (wide / 2 - intrinsics[:, 2] - 0.5) * aspect_x / longest
    shift_y = (intrinsics[:, 3] + 0.5 - high / 2) * aspect_y / longest
    curves = [
        Curve(path, 0, "Lens", values) for path, values in (("lens", lens), ("shift_x", shift_x), ("shift_y", shift_y))
    ]
    fcurves.write(fcurves.new_action(data, f"{cam.name} Lens", "motion"), data, keys, curves)
    if scene.camera is None:
        camera.use_camera(scene, cam, info.size, camera.pixel_aspect(photo))
        set_background(data, info)
        scene.frame_start, scene.frame_end = info.start, info.start + max(info.frames, 1) - 1
