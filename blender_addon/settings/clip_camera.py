# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the file of the scene's camera that filmed the clip (a matchmove), next to the job file."""

from __future__ import annotations

import os

import bpy

from ..errors import UserError
from ..scene import camera_sampling, clip, footage
from ..scene.person import KIND_KEY
from . import json_file, properties

FILE = "camera.json"
_EXTRA_FRAMES = 2  # after the clip's last frame: decoders differ in how many frames a file has


def selected_camera(settings: properties.RecoverMeshClipSettings, scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The camera that is chosen for the clip; None for a fixed camera.  Raises UserError."""
    if settings.camera_kind != "SCENE":
        return None
    obj = settings.camera or scene.camera
    if obj is None:
        raise UserError("The scene has no camera.", "Add the camera that matches the footage, or set Camera to Fixed.")
    if obj.type != "CAMERA":
        raise UserError(f"{obj.name} is not a camera.", "Choose a camera.")
    if any(c in obj.users_collection for c in clip.clips(scene)) and obj.get(KIND_KEY):
        raise UserError(
            f"{obj.name} was made by Recover Mesh and belongs to its clip.",
            "Choose the camera that matches the footage.",
        )
    return obj


def write(settings: properties.RecoverMeshClipSettings, scene: bpy.types.Scene, path: str, folder: str) -> str:
    """Sample the chosen camera over the clip's range into `folder`; the file's name, empty for a fixed camera.

    path: of the clip.  Raises UserError.
    """
    obj = selected_camera(settings, scene)
    if obj is None:
        return ""
    size, count = _size_and_count(settings, path)
    if settings.use_range:
        frames = range(settings.first - 1, min(settings.last, count) if count else settings.last)
    else:
        frames = range(count + _EXTRA_FRAMES)
    if not len(frames):
        raise UserError(f"The clip has {count} frames, the range begins at {settings.first}.", "Correct the range.")
    content = camera_sampling.sample(scene, obj, frames, settings.start, size)
    json_file.write(os.path.join(folder, FILE), content, "camera file")
    return FILE


def _size_and_count(settings: properties.RecoverMeshClipSettings, path: str) -> tuple[tuple[int, int], int]:
    """Size in px and number of frames of the clip, as Blender reads it.  Raises UserError."""
    movie, loaded = settings.movie_clip, False
    try:
        if movie is None:
            known = set(bpy.data.movieclips)
            movie = bpy.data.movieclips.load(footage.first_image(path), check_existing=True)
            loaded = movie not in known
        size, count = (int(movie.size[0]), int(movie.size[1])), int(movie.frame_duration)
    except RuntimeError as error:
        raise UserError(
            f"Blender cannot read {os.path.basename(path)} ({error}), so that its size is unknown.",
            "Convert the clip, or set Camera to Fixed.",
        ) from None
    finally:
        if loaded and movie is not None:
            bpy.data.movieclips.remove(movie)
    if min(size) < 1 or count < 1:
        raise UserError(f"Blender cannot read {os.path.basename(path)}.", "Convert the clip, or set Camera to Fixed.")
    return size, count
