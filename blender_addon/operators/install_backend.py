# SPDX-License-Identifier: GPL-3.0-or-later
"""Install Backend and Cancel Installation: buttons of the preferences."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from .. import runtime
from ..backend.install import Installation
from . import Guarded, OperatorResult


class RECOVERMESH_OT_install_backend(Guarded, Operator):
    """Install the backend into a folder of its own (about 2 to 6 GB). Nothing is installed into Blender"""

    bl_idname = "recover_mesh.install_backend"
    bl_label = "Install Backend"
    bl_options = {"INTERNAL"}

    @classmethod
    def blocked_reason(cls, context: bpy.types.Context) -> str:
        installation = runtime.state.installation
        running = runtime.state.busy or (installation is not None and installation.running)
        return "Wait until the running recovery or installation has ended" if running else ""

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        if not self._start():
            return {"CANCELLED"}
        self._installation.join()
        return self._report_outcome()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> OperatorResult:
        if bpy.app.background or context.window is None:
            return self.execute(context)
        if not self._start():
            return {"CANCELLED"}
        self._timer = context.window_manager.event_timer_add(0.2, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> OperatorResult:
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        runtime.redraw()
        if self._installation.running:
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self._timer)
        return self._report_outcome()

    def cancel(self, context: bpy.types.Context) -> None:
        self._installation.cancel()
        context.window_manager.event_timer_remove(self._timer)

    def _start(self) -> bool:
        if not bpy.app.online_access:
            self.report(
                {"ERROR"},
                "Blender is offline, and the backend's packages come from the internet. "
                "Turn on Allow Online Access in Preferences > System.",
            )
            return False
        runtime.state.session.close()  # the backend may run from the environment that is replaced
        self._installation = runtime.state.installation = Installation(runtime.user_folder())
        return True

    def _report_outcome(self) -> OperatorResult:
        runtime.redraw()
        if self._installation.error is not None:
            self.report({"ERROR"}, str(self._installation.error))
            return {"CANCELLED"}
        if self._installation.cancelled:
            self.report({"WARNING"}, "The installation was cancelled; nothing of it is left.")
            return {"CANCELLED"}
        self.report({"INFO"}, "The backend is installed.")
        return {"FINISHED"}


class RECOVERMESH_OT_cancel_install(Operator):
    """Stop the installation and remove the incomplete environment"""

    bl_idname = "recover_mesh.cancel_install"
    bl_label = "Cancel Installation"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        if runtime.state.installation is not None:
            runtime.state.installation.cancel()
        return {"FINISHED"}


classes = (RECOVERMESH_OT_install_backend, RECOVERMESH_OT_cancel_install)
