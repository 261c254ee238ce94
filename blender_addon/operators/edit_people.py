# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge, Split Here, Reset: corrections of the track ids of a clip."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from .. import runtime
from ..settings import clip_edits, clip_source, properties
from . import Guarded, OperatorResult


class _EditOperator(Guarded):
    """Mix in before `bpy.types.Operator`; a subclass defines `edit_blocked_reason` and `edit`."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def edit_blocked_reason(cls, context: bpy.types.Context) -> str:
        """Why the edit is impossible; empty if it is possible."""
        raise NotImplementedError

    def edit(self, context: bpy.types.Context) -> str:
        """Apply the edit to the list of people; returns what was done, for the report."""
        raise NotImplementedError

    @classmethod
    def blocked_reason(cls, context: bpy.types.Context) -> str:
        if runtime.state.busy:
            return "Wait until the clip is recovered"
        if not clip_source.people_are_current(properties.of_scene(context.scene).clip):
            return "Another clip or range is chosen: recover it first"
        return cls.edit_blocked_reason(context)

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        self.report({"INFO"}, f"{self.edit(context)}. Apply shows it in the bodies")
        return {"FINISHED"}


class RECOVERMESH_OT_merge_people(_EditOperator, Operator):
    """The selected people are one person. Where two are seen at once, the surer detection counts. Apply afterwards"""

    bl_idname = "recover_mesh.merge_people"
    bl_label = "Merge"

    @classmethod
    def edit_blocked_reason(cls, context: bpy.types.Context) -> str:
        return clip_edits.merge_blocked_reason(properties.of_scene(context.scene).clip)

    def edit(self, context: bpy.types.Context) -> str:
        return f"Merged into Person {clip_edits.merge(properties.of_scene(context.scene).clip)}"


class RECOVERMESH_OT_split_person(_EditOperator, Operator):
    """From the current frame on the selected person is another person, with a body of their own. Apply afterwards"""

    bl_idname = "recover_mesh.split_person"
    bl_label = "Split Here"

    @classmethod
    def edit_blocked_reason(cls, context: bpy.types.Context) -> str:
        scene = context.scene
        return clip_edits.split_blocked_reason(properties.of_scene(scene).clip, scene.frame_current)

    def edit(self, context: bpy.types.Context) -> str:
        scene = context.scene
        new = clip_edits.split(properties.of_scene(scene).clip, scene.frame_current)
        return f"From frame {scene.frame_current} on it is Person {new}"


class RECOVERMESH_OT_reset_people(_EditOperator, Operator):
    """Forget all merges and splits of this clip. Apply afterwards"""

    bl_idname = "recover_mesh.reset_people"
    bl_label = "Reset"

    @classmethod
    def edit_blocked_reason(cls, context: bpy.types.Context) -> str:
        return "" if properties.of_scene(context.scene).clip.edits else "Nothing was merged or split"

    def edit(self, context: bpy.types.Context) -> str:
        clip_edits.reset(properties.of_scene(context.scene).clip)
        return "Merges and splits are forgotten"


classes = (RECOVERMESH_OT_merge_people, RECOVERMESH_OT_split_person, RECOVERMESH_OT_reset_people)
