# SPDX-License-Identifier: GPL-3.0-or-later
"""Update Joints: the bones follow the body's shape after its sliders were moved."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from ..scene import armature, body, person
from ..scene.object_data import armature_data
from . import Guarded, OperatorResult


class RECOVERMESH_OT_update_joints(Guarded, Operator):
    """Move the bones to the joints of the body's present shape"""

    bl_idname = "recover_mesh.update_joints"
    bl_label = "Update Joints"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def blocked_reason(cls, context: bpy.types.Context) -> str:
        return "Select a recovered body or its armature" if person.parts(context.object) is None else ""

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        rig, skin = person.parts(context.object)
        betas = body.read_betas(skin, armature.beta_count(armature_data(rig)))
        armature.place_joints(rig, betas)
        return {"FINISHED"}


classes = (RECOVERMESH_OT_update_joints,)
