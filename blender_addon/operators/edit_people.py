# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge, Split Here, Reset: the artist's word on who is who in a clip."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from .. import runtime
from ..settings import clip_edits, clip_source


class _Edit:
    """Mix in before `bpy.types.Operator`.  Fill `refused` and `edit`."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def refused(cls, context: bpy.types.Context) -> str:
        """Why it cannot be done; empty where it can."""
        raise NotImplementedError

    def edit(self, context: bpy.types.Context) -> str:
        """Do it; returns what was done."""
        raise NotImplementedError

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if runtime.state.busy:
            why = "Wait until the clip is recovered"
        elif not clip_source.lists_its_people(context.scene.recover_mesh.clip):
            why = "Another clip or range is chosen: recover it first"
        else:
            why = cls.refused(context)
        if why:
            cls.poll_message_set(why)
        return not why

    def execute(self, context: bpy.types.Context) -> set[str]:
        self.report({"INFO"}, f"{self.edit(context)}. Apply shows it in the bodies")
        return {"FINISHED"}


class RECOVERMESH_OT_merge_people(_Edit, Operator):
    """The selected people are one person. Where two of them are seen at once, the surer one counts. Apply afterwards"""

    bl_idname = "recover_mesh.merge_people"
    bl_label = "Merge"

    @classmethod
    def refused(cls, context: bpy.types.Context) -> str:
        return clip_edits.merge_is_refused(context.scene.recover_mesh.clip)

    def edit(self, context: bpy.types.Context) -> str:
        return f"Merged into Person {clip_edits.merge(context.scene.recover_mesh.clip)}"


class RECOVERMESH_OT_split_person(_Edit, Operator):
    """From the current frame on the selected person is somebody else, with a body of their own. Apply afterwards"""

    bl_idname = "recover_mesh.split_person"
    bl_label = "Split Here"

    @classmethod
    def refused(cls, context: bpy.types.Context) -> str:
        scene = context.scene
        return clip_edits.split_is_refused(scene.recover_mesh.clip, scene.frame_current)

    def edit(self, context: bpy.types.Context) -> str:
        scene = context.scene
        new = clip_edits.split(scene.recover_mesh.clip, scene.frame_current)
        return f"From frame {scene.frame_current} on it is Person {new}"


class RECOVERMESH_OT_reset_people(_Edit, Operator):
    """Forget all merges and splits of this clip. Apply afterwards"""

    bl_idname = "recover_mesh.reset_people"
    bl_label = "Reset"

    @classmethod
    def refused(cls, context: bpy.types.Context) -> str:
        return "" if context.scene.recover_mesh.clip.edits else "Nothing was merged or split"

    def edit(self, context: bpy.types.Context) -> str:
        clip_edits.reset(context.scene.recover_mesh.clip)
        return "Merges and splits are forgotten"


classes = (RECOVERMESH_OT_merge_people, RECOVERMESH_OT_split_person, RECOVERMESH_OT_reset_people)
