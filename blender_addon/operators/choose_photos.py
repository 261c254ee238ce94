# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose Photos: a file browser for one or several files."""

from __future__ import annotations

import os
import re

import bpy
from bpy.props import CollectionProperty, StringProperty
from bpy.types import Operator, OperatorFileListElement
from bpy_extras.io_utils import ImportHelper

from ..settings import properties
from . import OperatorResult

IMAGE_GLOB = "*.jpg;*.jpeg;*.png;*.webp;*.tif;*.tiff;*.bmp"


class RECOVERMESH_OT_choose_photos(ImportHelper, Operator):
    """Choose one or several photos"""

    bl_idname = "recover_mesh.choose_photos"
    bl_label = "Choose Photos"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    filter_glob: StringProperty(default=IMAGE_GLOB, options={"HIDDEN"})
    files: CollectionProperty(type=OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        names = sorted({item.name for item in self.files if item.name}, key=natural_order)
        paths = [os.path.join(self.directory, name) for name in names] or [self.filepath]  # type: ignore[attr-defined]
        if not all(os.path.isfile(bpy.path.abspath(path)) for path in paths):
            self.report({"ERROR"}, "Choose an image file.")
            return {"CANCELLED"}
        settings = properties.of_scene(context.scene)
        settings.source = "FILES"
        settings.photos.clear()
        for path in paths:
            settings.photos.add().path = path
        return {"FINISHED"}


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """A sort key that puts photo2 before photo10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in re.split(r"(\d+)", name)]


classes = (RECOVERMESH_OT_choose_photos,)
