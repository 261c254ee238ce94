# SPDX-License-Identifier: GPL-3.0-or-later
"""Recover Mesh: the button.  Modal in a window, synchronous in scripts and in background mode."""

from __future__ import annotations

import os

import bpy
from bpy.types import Operator

from .. import preferences, properties, runtime
from ..errors import UserError
from ..image_bytes import image_content
from ..job import Ended, Failed, Progress, Recovered, RecoveryJob, Source
from ..scene import build

TICK_SECONDS = 0.1


class RECOVERMESH_OT_recover(Operator):
    """Recover the people in the chosen photos as posable bodies"""

    bl_idname = "recover_mesh.recover"
    bl_label = "Recover Mesh"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if runtime.state.busy:
            cls.poll_message_set("A photo is being recovered already")
            return False
        if not has_source(context.scene.recover_mesh):
            cls.poll_message_set("Choose a photo first")
            return False
        return True

    # ---- in a script or in background mode ---------------------------------------------------------------

    def execute(self, context: bpy.types.Context) -> set[str]:
        if not self._start(context):
            return {"CANCELLED"}
        try:
            while self._ended is None:
                self._take(runtime.state.job.events.get())
            self._finish_job()
            for recovered in self._recovered:
                self._build(recovered)
        finally:
            self._finish_job()
        return self._conclude()

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
        job = self._job
        if runtime.state.job is not job:  # the file or the extension is going away
            self._clean_up(context)
            return {"CANCELLED"}
        if event.type == "ESC" and event.value == "PRESS" and self._ended is None:
            job.cancel()
            runtime.redraw()
            return {"RUNNING_MODAL"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        while self._ended is None and not job.events.empty():
            self._take(job.events.get())
        runtime.redraw()
        if self._ended is None:
            return {"PASS_THROUGH"}
        if self._recovered:  # one photo per tick keeps the window alive
            self._build(self._recovered.pop(0))
            if self._recovered:
                return {"PASS_THROUGH"}
        self._clean_up(context)
        self._finish_job()
        return self._conclude()

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender ends the operator: another file, or the window is closed."""
        if runtime.state.job is self._job:
            runtime.forget()
        self._clean_up(context)

    def _clean_up(self, context: bpy.types.Context) -> None:
        context.window_manager.event_timer_remove(self._timer)
        if context.workspace is not None:
            context.workspace.status_text_set(None)
        runtime.redraw()

    # ---- both --------------------------------------------------------------------------------------------

    def _start(self, context: bpy.types.Context) -> bool:
        state = runtime.state
        state.error, state.notes = None, []
        self._recovered: list[Recovered] = []
        self._built: list[str] = []
        self._people = 0
        self._ended: Ended | None = None
        self._scene = context.scene.name
        settings = context.scene.recover_mesh
        self._correctives = settings.correctives
        try:
            state.job = self._job = RecoveryJob(
                state.session,
                sources(settings),
                python=preferences.backend_python(),
                folder=runtime.user_folder(),
                device=preferences.get_preferences().device,
                model=settings.model or properties.DEFAULT_MODEL[0],
                people=properties.people_argument(settings),
            )
        except UserError as error:
            state.error = error
            self.report({"ERROR"}, str(error))
            return False
        return True

    def _take(self, event: Progress | Recovered | Failed | Ended) -> None:
        notes = runtime.state.notes
        if isinstance(event, Ended):
            self._ended = event
        elif isinstance(event, Failed):
            notes.append(f"{event.source.label}: {event.error}")
        elif isinstance(event, Recovered):
            if event.photo.people:
                self._recovered.append(event)
            else:
                notes.append(f"{event.source.label}: nobody found.")
        elif bpy.app.background:
            print(f"Recover Mesh: {event.fraction:4.0%} {event.text}", flush=True)

    def _build(self, recovered: Recovered) -> None:
        image = bpy.data.images.get(recovered.source.image) if recovered.source.image else None
        scene = bpy.data.scenes.get(self._scene) or bpy.context.scene
        try:
            collection = build.build_photo(
                recovered.photo, recovered.body, image=image, with_correctives=self._correctives, scene=scene
            )
        except UserError as error:
            runtime.state.notes.append(f"{recovered.source.label}: {error}")
        else:
            self._built.append(collection.name)
            self._people += len(recovered.photo.people)
            notice, notes = recovered.photo.notice, runtime.state.notes
            if notice and notice not in notes:
                notes.append(notice)

    def _finish_job(self) -> None:
        if runtime.state.job is self._job:
            runtime.state.job = None

    def _conclude(self) -> set[str]:
        """Say how it went.  What was built stays, also after a cancel, as one undo step."""
        state, built = runtime.state, len(self._built)
        done = {"FINISHED"} if built else {"CANCELLED"}
        summary = f"{counted(self._people, 'person', 'people')} in {counted(built, 'photo', 'photos')}"
        if self._ended.error is not None:
            state.error = self._ended.error
            self.report({"ERROR"}, f"{state.error}{f' Kept: {summary}.' if built else ''}")
        elif self._ended.cancelled:
            words = f"Cancelled. Kept: {summary}." if built else "Cancelled."
            state.notes.append(words)
            self.report({"WARNING"}, words)
        elif state.notes:
            words = " ".join(state.notes)
            self.report({"WARNING"}, f"{summary}. {words}" if built else words)
        else:
            self.report({"INFO"}, f"Recovered {summary}.")
        return done


def counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def has_source(settings: properties.RecoverMeshSettings) -> bool:
    return settings.image is not None if settings.source == "IMAGE" else len(settings.photos) > 0


def sources(settings: properties.RecoverMeshSettings) -> list[Source]:
    """What to recover.  Raises UserError for an image that cannot be read."""
    if settings.source == "IMAGE":
        image = settings.image
        return [Source(image.name, image_content(image), image.name)]
    paths = [bpy.path.abspath(photo.path) for photo in settings.photos]
    return [Source(os.path.basename(path), path) for path in paths]


classes = (RECOVERMESH_OT_recover,)
