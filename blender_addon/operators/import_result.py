# SPDX-License-Identifier: GPL-3.0-or-later
"""Import Result: the npz files that the command line writes, as bodies."""

from __future__ import annotations

import bpy
from bpy.props import CollectionProperty, StringProperty
from bpy.types import Operator, OperatorFileListElement
from bpy_extras.io_utils import ImportHelper

from ..scene import build, clip_npz, records
from .npz_import import NpzImport


class RECOVERMESH_OT_import_result(NpzImport, Operator, ImportHelper):
    """Import the people of one picture or clip from the .npz files of `recover-mesh recover`"""

    bl_idname = "recover_mesh.import_result"
    bl_label = "Import Recovered Bodies"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".npz"
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})
    files: CollectionProperty(type=OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    body: StringProperty(
        name="Body File",
        description="A body in the protocol's arrays. Empty: ask the backend for the result's body",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )

    def import_files(self, paths: list[str], context: bpy.types.Context) -> str:
        scene = context.scene
        correctives = scene.recover_mesh.correctives
        if clip_npz.is_clip(paths[0]):
            body = self.read_body(str(records.load_npz(paths[0])["body"]))
            start = scene.recover_mesh.clip.start
            clip_npz.build(scene, paths, body, start=start, with_correctives=correctives)
        else:
            photo = records.photo_from_npz(paths)
            build.build_photo(photo, self.read_body(photo.body), with_correctives=correctives)
        return ""


def draw_menu(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(RECOVERMESH_OT_import_result.bl_idname, text="Recovered Bodies (.npz)")


classes = (RECOVERMESH_OT_import_result,)
