# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator that follows a recovery: modal in a window, synchronous in scripts and in background mode."""

from __future__ import annotations

from typing import Any

import bpy

from .. import runtime
from ..client.recovery import JobEnded, Progress, Recovery
from ..errors import UserError

TICK_SECONDS = 0.1


class BackendOperator:
    """Mix in before `bpy.types.Operator`.  Fill `make_recovery`, `handle_event`, `build_next` and `report_outcome`."""

    def make_recovery(self, context: bpy.types.Context) -> Recovery:
        """Start it.  Raises UserError."""
        raise NotImplementedError

    def handle_event(self, event: Any) -> None:
        """One event of the recovery that is neither Progress nor JobEnded."""
        raise NotImplementedError

    def build_next(self) -> bool:
        """Build one thing of what was taken; whether there is more.  One per tick keeps the window alive."""
        raise NotImplementedError

    def report_outcome(self, ended: JobEnded) -> set[str]:
        """Say how it went."""
        raise NotImplementedError

    # ---- in a script or in background mode ---------------------------------------------------------------

    def execute(self, context: bpy.types.Context) -> set[str]:
        if not self._start(context):
            return {"CANCELLED"}
        try:
            while self._ended is None:
                self._dispatch(self._recovery.events.get())
                while self.build_next():
                    pass
        finally:
            self._end_recovery()
        return self.report_outcome(self._ended)

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
            self._dispatch(recovery.events.get())
        runtime.redraw()
        if self.build_next() or self._ended is None:
            return {"PASS_THROUGH"}
        self._clean_up(context)
        self._end_recovery()
        return self.report_outcome(self._ended)

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender ends the operator: another file, or the window is closed."""
        if runtime.state.recovery is self._recovery:
            runtime.drop_job()
        self._clean_up(context)

    # ---- both --------------------------------------------------------------------------------------------

    def _start(self, context: bpy.types.Context) -> bool:
        state = runtime.state
        state.error, state.notes = None, []
        self._ended: JobEnded | None = None
        try:
            state.recovery = self._recovery = self.make_recovery(context)
        except UserError as error:
            state.error = error
            self.report({"ERROR"}, str(error))
            return False
        return True

    def _dispatch(self, event: Any) -> None:
        if isinstance(event, JobEnded):
            self._ended = event
        elif not isinstance(event, Progress):
            self.handle_event(event)
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


def pluralize(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def report_job_outcome(operator: Any, ended: JobEnded, built: int, summary: str) -> set[str]:
    """Say how a recovery went.  What was built stays, also after a cancel, as one undo step."""
    state = runtime.state
    if ended.error is not None:
        state.error = ended.error
        operator.report({"ERROR"}, f"{state.error}{f' Kept: {summary}.' if built else ''}")
    elif ended.cancelled:
        text = f"Cancelled. Kept: {summary}." if built else "Cancelled."
        state.notes.append(text)
        operator.report({"WARNING"}, text)
    elif state.notes:
        text = " ".join(state.notes)
        operator.report({"WARNING"}, f"{summary}. {text}" if built else text)
    else:
        operator.report({"INFO"}, f"Recovered {summary}.")
    return {"FINISHED"} if built else {"CANCELLED"}
