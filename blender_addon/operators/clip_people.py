# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of those whom the last run found in the clip."""

from __future__ import annotations

from collections.abc import Mapping

import bpy
import bpy.utils.previews
import numpy as np

_previews: dict[str, bpy.utils.previews.ImagePreviewCollection] = {}


def show(arrays: Mapping[str, np.ndarray]) -> None:
    """Make icons of the pictures in the protocol's `people`."""
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
