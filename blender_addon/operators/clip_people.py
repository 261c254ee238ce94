# SPDX-License-Identifier: GPL-3.0-or-later
"""Thumbnails of the people that the last run found in the clip."""

from __future__ import annotations

from collections.abc import Mapping

import bpy
import bpy.utils.previews
import numpy as np

_previews: dict[str, bpy.utils.previews.ImagePreviewCollection] = {}


def load_thumbnails(arrays: Mapping[str, np.ndarray]) -> None:
    """Replace the icons by the thumbnails of the protocol's `people`."""
    free_thumbnails()
    icons = _previews["people"] = bpy.utils.previews.new()
    for track_id, thumbnail in zip(arrays["people"].tolist(), arrays["thumbnails"], strict=True):
        height, width = thumbnail.shape[:2]
        rgba = np.ones((height, width, 4), np.float32)
        rgba[..., :3] = thumbnail[::-1] / 255.0  # Blender's rows go from bottom to top
        preview = icons.new(str(track_id))
        preview.image_size = (width, height)
        preview.image_pixels_float.foreach_set(rgba.ravel())  # type: ignore[attr-defined]  # typed as a float


def icon(track_id: int) -> int:
    """Id of a person's icon; 0 if there is none, as in a file that was opened again."""
    icons = _previews.get("people")
    preview = icons.get(str(track_id)) if icons is not None else None
    return 0 if preview is None else preview.icon_id


def free_thumbnails() -> None:
    """Free the icons."""
    icons = _previews.pop("people", None)
    if icons is not None:
        bpy.utils.previews.remove(icons)
