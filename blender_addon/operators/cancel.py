# SPDX-License-Identifier: GPL-3.0-or-later
"""Cancel: the button next to the progress bar."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from .. import runtime
from . import OperatorResult


class RECOVERMESH_OT_cancel(Operator):
    """Stop the recovery; photos that are finished stay"""

    bl_idname = "recover_mesh.cancel"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return runtime.state.busy

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        runtime.state.recovery.cancel()
        runtime.redraw()
        return {"FINISHED"}


classes = (RECOVERMESH_OT_cancel,)
