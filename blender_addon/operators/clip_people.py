# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of those whom the last run found in the clip."""

from __future__ import annotations

from collections.abc import Mapping

import bpy
import bpy.utils.previews
import numpy as np

_previews: dict[str, bpy.utils.previews.ImagePreviewCollection] = {}


def load_thumbnails(arrays: Mapping[str, np.ndarray]) -> None:
    """Make icons of the pictures in the protocol's `people`."""
    free_thumbnails()
    icons = _previews["people"] = bpy.utils.previews.new()
    for track_id, thumbnail in zip(arrays["people"].tolist(), arrays["thumbnails"], strict=True):
        height, width = thumbnail.shape[:2]
        rgba = np.ones((height, width, 4), np.float32)
        rgba[..., :3] = thumbnail[::-1] / 255.0  # Blender's first row is the lowest
        preview = icons.new(str(track_id))
        preview.image_size = (width, height)
        preview.image_pixels_float.foreach_set(rgba.ravel())


def icon(track_id: int) -> int:
    """Icon of a person's picture, 0 where there is none (in a file that was opened again)."""
    icons = _previews.get("people")
    preview = icons.get(str(track_id)) if icons is not None else None
    return 0 if preview is None else preview.icon_id


def free_thumbnails() -> None:
    """Free the pictures."""
    icons = _previews.pop("people", None)
    if icons is not None:
        bpy.utils.previews.remove(icons)


classes = ()
