# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove: takes a photo off the list."""

from __future__ import annotations

import bpy
from bpy.props import IntProperty
from bpy.types import Operator

from ..settings import properties
from . import OperatorResult


class RECOVERMESH_OT_remove_photo(Operator):
    """Take this photo off the list; the file stays"""

    bl_idname = "recover_mesh.remove_photo"
    bl_label = "Remove"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    index: IntProperty(min=0)

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        properties.of_scene(context.scene).photos.remove(self.index)
        return {"FINISHED"}


classes = (RECOVERMESH_OT_remove_photo,)
