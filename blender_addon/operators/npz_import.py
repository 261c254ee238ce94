# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of the operators that import .npz files."""

from __future__ import annotations

import os

import bpy
from bpy.props import CollectionProperty, StringProperty
from bpy.types import OperatorFileListElement
from bpy_extras.io_utils import ImportHelper

from .. import runtime
from ..client.events import ClientError
from ..errors import UserError
from ..scene import records
from ..settings import preferences
from . import Mixin, OperatorResult


class NpzImport(ImportHelper, Mixin):
    """Mix in before `bpy.types.Operator`; a subclass defines `import_files`."""

    filename_ext = ".npz"
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})
    files: CollectionProperty(type=OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})

    def import_files(self, paths: list[str], context: bpy.types.Context) -> str:
        """Build what the files contain; returns a message for the user, or "".  Raises UserError, ClientError."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        names = sorted(item.name for item in self.files if item.name)
        paths = [os.path.join(self.directory, name) for name in names] or [self.filepath]  # type: ignore[attr-defined]
        try:
            message = self.import_files([bpy.path.abspath(path) for path in paths], context)
        except (UserError, ClientError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if message:
            self.report({"INFO"}, message)
        return {"FINISHED"}


def read_body(path: str, name: str) -> records.Body:
    """The body model in the file `path`; if that is "", the backend's body `name`.  Raises UserError, ClientError."""
    if path:
        return records.body_from_npz(bpy.path.abspath(path))
    session = runtime.state.session
    python, device = preferences.backend_python(), preferences.get_preferences().device
    return session.body(session.connect(python, runtime.user_folder(), device), name)
