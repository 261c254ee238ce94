# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators that import .npz files share."""

from __future__ import annotations

import os

import bpy

from .. import runtime
from ..client.client import ClientError
from ..errors import UserError
from ..scene import records
from ..settings import preferences


class NpzImport:
    """A subclass has the properties of `ImportHelper`, `files`, `directory` and `body`, and `import_files`."""

    def import_files(self, paths: list[str], context: bpy.types.Context) -> str:
        """Build what the files hold; returns what is to be said, or nothing.  Raises UserError, ClientError."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> set[str]:
        names = sorted(item.name for item in self.files if item.name)
        paths = [os.path.join(self.directory, name) for name in names] or [self.filepath]
        try:
            words = self.import_files([bpy.path.abspath(path) for path in paths], context)
        except (UserError, ClientError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if words:
            self.report({"INFO"}, words)
        return {"FINISHED"}

    def read_body(self, name: str) -> records.Body:
        """The body of the file that was chosen for it, else the backend's of this name.

        Raises UserError, ClientError.
        """
        if self.body:
            return records.body_from_npz(bpy.path.abspath(self.body))
        session = runtime.state.session
        python, device = preferences.backend_python(), preferences.get_preferences().device
        return session.body(session.connect(python, runtime.user_folder(), device), name)
