# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge, Split Here, Reset: the artist's word on who is who in a clip."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from .. import runtime
from ..settings import clip_edits, clip_source


class _EditOperator:
    """Mix in before `bpy.types.Operator`.  Fill `blocked_reason` and `edit`."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def blocked_reason(cls, context: bpy.types.Context) -> str:
        """Why it cannot be done; empty where it can."""
        raise NotImplementedError

    def edit(self, context: bpy.types.Context) -> str:
        """Do it; returns what was done."""
        raise NotImplementedError

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if runtime.state.busy:
            reason = "Wait until the clip is recovered"
        elif not clip_source.people_are_current(context.scene.recover_mesh.clip):
            reason = "Another clip or range is chosen: recover it first"
        else:
            reason = cls.blocked_reason(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        self.report({"INFO"}, f"{self.edit(context)}. Apply shows it in the bodies")
        return {"FINISHED"}


class RECOVERMESH_OT_merge_people(_EditOperator, Operator):
    """The selected people are one person. Where two of them are seen at once, the surer one counts. Apply afterwards"""

    bl_idname = "recover_mesh.merge_people"
    bl_label = "Merge"

    @classmethod
    def blocked_reason(cls, context: bpy.types.Context) -> str:
        return clip_edits.merge_blocked_reason(context.scene.recover_mesh.clip)

    def edit(self, context: bpy.types.Context) -> str:
        return f"Merged into Person {clip_edits.merge(context.scene.recover_mesh.clip)}"


class RECOVERMESH_OT_split_person(_EditOperator, Operator):
    """From the current frame on the selected person is somebody else, with a body of their own. Apply afterwards"""

    bl_idname = "recover_mesh.split_person"
    bl_label = "Split Here"

    @classmethod
    def blocked_reason(cls, context: bpy.types.Context) -> str:
        scene = context.scene
        return clip_edits.split_blocked_reason(scene.recover_mesh.clip, scene.frame_current)

    def edit(self, context: bpy.types.Context) -> str:
        scene = context.scene
        new = clip_edits.split(scene.recover_mesh.clip, scene.frame_current)
        return f"From frame {scene.frame_current} on it is Person {new}"


class RECOVERMESH_OT_reset_people(_EditOperator, Operator):
    """Forget all merges and splits of this clip. Apply afterwards"""

    bl_idname = "recover_mesh.reset_people"
    bl_label = "Reset"

    @classmethod
    def blocked_reason(cls, context: bpy.types.Context) -> str:
        return "" if context.scene.recover_mesh.clip.edits else "Nothing was merged or split"

    def edit(self, context: bpy.types.Context) -> str:
        clip_edits.reset(context.scene.recover_mesh.clip)
        return "Merges and splits are forgotten"


classes = (RECOVERMESH_OT_merge_people, RECOVERMESH_OT_split_person, RECOVERMESH_OT_reset_people)
