# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom the last run found in the clip: their thumbnails, and the ticks that choose among them."""

from __future__ import annotations

from collections.abc import Mapping

import bpy
import bpy.utils.previews
import numpy as np

_previews: dict[str, bpy.utils.previews.ImagePreviewCollection] = {}


def store(scene: bpy.types.Scene, path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Keep the `people` of the protocol with the scene; ticks as they were recovered."""
    clip = scene.recover_mesh.clip
    clip.people.clear()
    clip.people_of = path
    for k, identity in enumerate(arrays["people"].tolist()):
        one = clip.people.add()
        one.id, one.use = identity, bool(arrays["kept"][k])
        one.first, one.last, one.seen = (int(arrays[name][k]) for name in ("first", "last", "seen"))
    release()
    pictures = _previews["people"] = bpy.utils.previews.new()
    for identity, picture in zip(arrays["people"].tolist(), arrays["thumbnails"], strict=True):
        height, width = picture.shape[:2]
        rgba = np.ones((height, width, 4), np.float32)
        rgba[..., :3] = picture[::-1] / 255.0  # Blender's first row is the lowest
        preview = pictures.new(str(identity))
        preview.image_size = (width, height)
        preview.image_pixels_float.foreach_set(rgba.ravel())


def icon(identity: int) -> int:
    """Icon of a person's picture, 0 where there is none (in a file that was opened again)."""
    pictures = _previews.get("people")
    preview = pictures.get(str(identity)) if pictures is not None else None
    return 0 if preview is None else preview.icon_id


def release() -> None:
    """Free the pictures."""
    pictures = _previews.pop("people", None)
    if pictures is not None:
        bpy.utils.previews.remove(pictures)


classes = ()
