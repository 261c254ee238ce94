# SPDX-License-Identifier: GPL-3.0-or-later
"""Show Photo: look through the camera of one of several recovered photos."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty
from bpy.types import Operator

from ..scene import build
from . import OperatorResult


class RECOVERMESH_OT_show_photo(Operator):
    """Look through this photo's camera and hide the people of the others"""

    bl_idname = "recover_mesh.show_photo"
    bl_label = "Show Photo"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    collection: StringProperty()

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        found: bpy.types.Collection | None = bpy.data.collections.get(self.collection)
        if found is None:
            self.report({"ERROR"}, f"There is no collection {self.collection!r} any more.")
            return {"CANCELLED"}
        build.show_photo(context.scene, found)
        return {"FINISHED"}


classes = (RECOVERMESH_OT_show_photo,)
