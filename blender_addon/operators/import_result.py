# SPDX-License-Identifier: GPL-3.0-or-later
"""Import Result: the npz files that the command line writes, as bodies."""

from __future__ import annotations

import os

import bpy
from bpy.props import CollectionProperty, StringProperty
from bpy.types import Operator, OperatorFileListElement
from bpy_extras.io_utils import ImportHelper

from .. import runtime
from ..client.client import ClientError
from ..errors import UserError
from ..scene import build, clip_npz, records
from ..settings import preferences


class RECOVERMESH_OT_import_result(Operator, ImportHelper):
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

    def execute(self, context: bpy.types.Context) -> set[str]:
        names = sorted(item.name for item in self.files if item.name)
        paths = [os.path.join(self.directory, name) for name in names] or [self.filepath]
        try:
            self._import([bpy.path.abspath(path) for path in paths], context.scene)
        except UserError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        except ClientError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}

    def _import(self, paths: list[str], scene: bpy.types.Scene) -> None:
        correctives = scene.recover_mesh.correctives
        if clip_npz.is_clip(paths[0]):
            body = self._body(str(records.load_npz(paths[0])["body"]))
            start = scene.recover_mesh.clip.start
            clip_npz.build(scene, paths, body, start=start, with_correctives=correctives)
        else:
            photo = records.photo_from_npz(paths)
            build.build_photo(photo, self._body(photo.body), with_correctives=correctives)

    def _body(self, name: str) -> records.Body:
        return records.body_from_npz(bpy.path.abspath(self.body)) if self.body else ask_backend(name)


def ask_backend(name: str) -> records.Body:
    """A body of the backend.  Raises UserError, ClientError."""
    session = runtime.state.session
    python, device = preferences.backend_python(), preferences.get_preferences().device
    return session.body(session.connect(python, runtime.user_folder(), device), name)


def draw_menu(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(RECOVERMESH_OT_import_result.bl_idname, text="Recovered Bodies (.npz)")


classes = (RECOVERMESH_OT_import_result,)
