# SPDX-License-Identifier: GPL-3.0-or-later
"""Next Problem: jump to the worst frame that was not visited yet."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from ..scene import quality
from . import Guarded, OperatorResult

_visited_problems: set[tuple[str, int]] = set()


class RECOVERMESH_OT_next_problem(Guarded, Operator):
    """Go to the worst frame of the recovered clips, then to the next worst"""

    bl_idname = "recover_mesh.next_problem"
    bl_label = "Next Problem"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def blocked_reason(cls, context: bpy.types.Context) -> str:
        return "" if quality.problem_markers(context.scene) else "There is no problem to show"

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        scene = context.scene
        found = quality.problem_markers(scene)
        remaining = [marker for marker in found if (marker.name, marker.frame) not in _visited_problems]
        if not remaining:  # all were visited: start again with the worst
            _visited_problems.clear()
            remaining = found
        marker = remaining[0]
        _visited_problems.add((marker.name, marker.frame))
        scene.frame_set(marker.frame)
        rig: bpy.types.Object | None = scene.objects.get(marker.person)
        if rig is not None and rig.visible_get(view_layer=context.view_layer):
            for other in context.selected_objects:
                other.select_set(False)
            rig.select_set(True)
            context.view_layer.objects.active = rig
        text = marker.name.removeprefix(f"{quality.MARKER_PREFIX}: ")
        self.report({"INFO"}, f"{text} ({len(found) - len(remaining) + 1} of {len(found)})")
        return {"FINISHED"}


classes = (RECOVERMESH_OT_next_problem,)
