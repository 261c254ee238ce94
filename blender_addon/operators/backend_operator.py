# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator that follows a recovery: modal in a window, synchronous in scripts and in background mode."""

from __future__ import annotations

from typing import Any

import bpy

from .. import runtime
from ..client.backend_job import Ended, Progress, Recovery
from ..errors import UserError

TICK_SECONDS = 0.1


class BackendOperator:
    """Mix in before `bpy.types.Operator`.  Fill `make_recovery`, `take`, `build_next` and `conclude`."""

    def make_recovery(self, context: bpy.types.Context) -> Recovery:
        """Start it.  Raises UserError."""
        raise NotImplementedError

    def take(self, event: Any) -> None:
        """One event of the recovery that is neither Progress nor Ended."""
        raise NotImplementedError

    def build_next(self) -> bool:
        """Build one thing of what was taken; whether there is more.  One per tick keeps the window alive."""
        raise NotImplementedError

    def conclude(self, ended: Ended) -> set[str]:
        """Say how it went."""
        raise NotImplementedError

    # ---- in a script or in background mode ---------------------------------------------------------------

    def execute(self, context: bpy.types.Context) -> set[str]:
        if not self._start(context):
            return {"CANCELLED"}
        try:
            while self._ended is None:
                self._take(self._recovery.events.get())
                while self.build_next():
                    pass
        finally:
            self._end_recovery()
        return self.conclude(self._ended)

    # ---- in a window -------------------------------------------------------------------------------------

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if bpy.app.background or context.window is None:
            return self.execute(context)
        if not self._start(context):
            runtime.redraw()
            return {"CANCELLED"}
        manager = context.window_manager
        self._timer = manager.event_timer_add(TICK_SECONDS, window=context.window)
        manager.modal_handler_add(self)
        context.workspace.status_text_set("Recover Mesh: Esc cancels")
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        recovery = self._recovery
        if runtime.state.recovery is not recovery:  # the file or the extension is going away
            self._clean_up(context)
            return {"CANCELLED"}
        if event.type == "ESC" and event.value == "PRESS" and self._ended is None:
            recovery.cancel()
            runtime.redraw()
            return {"RUNNING_MODAL"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        while self._ended is None and not recovery.events.empty():
            self._take(recovery.events.get())
        runtime.redraw()
        if self.build_next() or self._ended is None:
            return {"PASS_THROUGH"}
        self._clean_up(context)
        self._end_recovery()
        return self.conclude(self._ended)

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender ends the operator: another file, or the window is closed."""
        if runtime.state.recovery is self._recovery:
            runtime.forget()
        self._clean_up(context)

    # ---- both --------------------------------------------------------------------------------------------

    def _start(self, context: bpy.types.Context) -> bool:
        state = runtime.state
        state.error, state.notes = None, []
        self._ended: Ended | None = None
        try:
            state.recovery = self._recovery = self.make_recovery(context)
        except UserError as error:
            state.error = error
            self.report({"ERROR"}, str(error))
            return False
        return True

    def _take(self, event: Any) -> None:
        if isinstance(event, Ended):
            self._ended = event
        elif not isinstance(event, Progress):
            self.take(event)
        elif bpy.app.background:
            print(f"Recover Mesh: {event.fraction:4.0%} {event.text}", flush=True)

    def _clean_up(self, context: bpy.types.Context) -> None:
        context.window_manager.event_timer_remove(self._timer)
        if context.workspace is not None:
            context.workspace.status_text_set(None)
        runtime.redraw()

    def _end_recovery(self) -> None:
        if runtime.state.recovery is self._recovery:
            runtime.state.recovery = None


def counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def report_ending(operator: Any, ended: Ended, built: int, summary: str) -> set[str]:
    """Say how a recovery went.  What was built stays, also after a cancel, as one undo step."""
    state = runtime.state
    if ended.error is not None:
        state.error = ended.error
        operator.report({"ERROR"}, f"{state.error}{f' Kept: {summary}.' if built else ''}")
    elif ended.cancelled:
        words = f"Cancelled. Kept: {summary}." if built else "Cancelled."
        state.notes.append(words)
        operator.report({"WARNING"}, words)
    elif state.notes:
        words = " ".join(state.notes)
        operator.report({"WARNING"}, f"{summary}. {words}" if built else words)
    else:
        operator.report({"INFO"}, f"Recovered {summary}.")
    return {"FINISHED"} if built else {"CANCELLED"}
