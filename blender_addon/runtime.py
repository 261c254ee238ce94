# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on at the moment: the session, the recovery, the installation, and what there is to say about them.

Kept here and not in a Scene: undo must not bring a finished recovery back, and a file must not store one.
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
    error: UserError | None = None  # why the last recovery failed
    notes: list[str] = field(default_factory=list)  # what the last recovery has to say besides

    @property
    def busy(self) -> bool:
        return self.recovery is not None


state = State()


def user_folder() -> str:
    """The extension's own folder for logs and the private environment, created when missing."""
    if __package__.startswith("bl_ext."):
        return bpy.utils.extension_path_user(__package__, create=True)
    # run from a checkout, as `blender_addon`: not an extension, so Blender knows no folder for it
    return bpy.utils.user_resource("DATAFILES", path="recover_mesh", create=True)


def drop_job() -> None:
    """Cancel the recovery and drop its messages.  The backend stays."""
    recovery, state.recovery = state.recovery, None
    if recovery is not None:
        recovery.cancel()
        recovery.join(2.0)
    state.error = None
    state.notes = []


def shut_down() -> None:
    """End everything that runs."""
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
    """Show progress: the sidebar and the preferences of every window."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in {"VIEW_3D", "PREFERENCES"}:
                area.tag_redraw()
