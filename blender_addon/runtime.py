# SPDX-License-Identifier: GPL-3.0-or-later
"""The running session, recovery and installation, and their messages.

Not stored in the Scene: undo must not restore a finished recovery, and a file must not save one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import bpy

from .backend.install import Installation
from .client.recovery import Recovery
from .client.session import Session
from .errors import UserError


@dataclass
class State:
    session: Session = field(default_factory=Session)
    recovery: Recovery | None = None
    installation: Installation | None = None
    error: UserError | None = None  # of the last recovery
    notes: list[str] = field(default_factory=list)  # of the last recovery, for the panel

    @property
    def busy(self) -> bool:
        return self.recovery is not None


state = State()


def user_folder() -> str:
    """The extension's folder for logs and the private environment; created if missing."""
    if __package__.startswith("bl_ext."):
        return bpy.utils.extension_path_user(__package__, create=True)
    # enabled from a checkout as the add-on `blender_addon`: Blender has no user folder for it
    return bpy.utils.user_resource("DATAFILES", path="recover_mesh", create=True)


def drop_job() -> None:
    """Cancel the recovery and clear its messages.  The backend keeps running."""
    recovery, state.recovery = state.recovery, None
    if recovery is not None:
        recovery.cancel()
        recovery.join(2.0)
    state.error = None
    state.notes = []


def shut_down() -> None:
    """Stop the installation, the recovery and the backend."""
    if state.installation is not None:
        state.installation.cancel()
        state.installation.join(5.0)
        state.installation = None
    recovery = state.recovery
    if recovery is not None:
        recovery.cancel()
    state.session.close()
    drop_job()


def redraw() -> None:
    """Redraw the sidebar and the preferences of every window."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in {"VIEW_3D", "PREFERENCES"}:
                area.tag_redraw()
