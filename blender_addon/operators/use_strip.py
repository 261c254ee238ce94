# SPDX-License-Identifier: GPL-3.0-or-later
"""From Strip: take the active movie or image strip of the video sequencer as the clip."""

from __future__ import annotations

import os
from typing import Any

import bpy
from bpy.types import Operator

from ..settings import properties
from . import Guarded, OperatorResult


class RECOVERMESH_OT_use_strip(Guarded, Operator):
    """Take the active strip of the video sequencer: its file, the frames that it shows, and its start frame"""

    bl_idname = "recover_mesh.use_strip"
    bl_label = "From Strip"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    @classmethod
    def blocked_reason(cls, context: bpy.types.Context) -> str:
        chosen = active_strip(context.scene) is not None
        return "" if chosen else "Select a movie or image strip in the video sequencer first"

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        strip = active_strip(context.scene)
        clip = properties.of_scene(context.scene).clip
        clip.movie_clip = None
        if strip.type == "MOVIE":
            clip.path = strip.filepath
        else:
            clip.path = os.path.join(strip.directory, strip.elements[0].filename)
        shown_range = int(strip.frame_final_start), int(strip.frame_final_end)  # the end is not shown
        strip_start = round(strip.frame_start) - strip.animation_offset_start
        clip.use_range = True
        clip.first = shown_range[0] - strip_start + 1
        clip.last = shown_range[1] - strip_start
        clip.start = strip_start
        return {"FINISHED"}


def active_strip(scene: bpy.types.Scene) -> Any:
    """The active movie or image strip; None if there is none."""
    editor = scene.sequence_editor
    strip = editor.active_strip if editor is not None else None
    return strip if strip is not None and strip.type in {"MOVIE", "IMAGE"} else None


classes = (RECOVERMESH_OT_use_strip,)
