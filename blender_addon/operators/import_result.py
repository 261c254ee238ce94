# SPDX-License-Identifier: GPL-3.0-or-later
"""Import Recovered Bodies: the npz files that the command line writes, as bodies."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty
from bpy.types import Operator

from ..scene import build, clip_npz, records
from ..settings import properties
from .npz_import import NpzImport, read_body


class RECOVERMESH_OT_import_result(NpzImport, Operator):
    """Import the people of one photo or clip from the .npz files of `recover-mesh recover`"""

    bl_idname = "recover_mesh.import_result"
    bl_label = "Import Recovered Bodies"
    bl_options = {"REGISTER", "UNDO"}

    body: StringProperty(
        name="Body File",
        description="A body in the protocol's arrays. Empty: ask the backend for the result's body",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )

    def import_files(self, paths: list[str], context: bpy.types.Context) -> str:
        scene = context.scene
        settings = properties.of_scene(scene)
        if clip_npz.is_clip(paths[0]):
            body = read_body(self.body, str(records.load_npz(paths[0])["body"]))
            clip_npz.build(scene, paths, body, start=settings.clip.start, with_correctives=settings.correctives)
        else:
            photo = records.photo_from_npz(paths)
            build.build_photo(photo, read_body(self.body, photo.body), with_correctives=settings.correctives)
        return ""


def draw_menu(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(RECOVERMESH_OT_import_result.bl_idname, text="Recovered Bodies (.npz)")


classes = (RECOVERMESH_OT_import_result,)
