# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator that runs a recovery: modal in a window, blocking in scripts and in background mode."""

from __future__ import annotations

from typing import Any

import bpy

from .. import runtime
from ..client.recovery import JobEnded, Progress, Recovery
from ..errors import UserError
from . import Guarded, OperatorResult

TICK_SECONDS = 0.1


class BackendOperator(Guarded):
    """Mix in before `bpy.types.Operator`; a subclass defines `blocked_reason` and the four methods that raise."""

    def make_recovery(self, context: bpy.types.Context) -> Recovery:
        """A new, started recovery.  Raises UserError."""
        raise NotImplementedError

    def handle_event(self, event: Any) -> None:
        """Handle an event of the recovery that is neither Progress nor JobEnded."""
        raise NotImplementedError

    def build_next(self) -> bool:
        """Build the next received result; whether there are more.  One per tick keeps the window responsive."""
        raise NotImplementedError

    def report_outcome(self, ended: JobEnded) -> OperatorResult:
        """Report the end to the user; returns the operator's result."""
        raise NotImplementedError

    # ---- in a script or in background mode ---------------------------------------------------------------

    def execute(self, context: bpy.types.Context) -> OperatorResult:
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

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> OperatorResult:
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

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> OperatorResult:
        recovery = self._recovery
        if runtime.state.recovery is not recovery:  # another file is opened, or the extension disabled
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
        """Clean up where Blender ends the operator: another file is opened, or the window closed."""
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


def report_job_outcome(operator: Any, ended: JobEnded, built: int, summary: str) -> OperatorResult:
    """Report the end of a recovery; returns the operator's result.

    What was built stays, also after an error or a cancel, as one undo step.  built: how many people or photos.
    """
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
