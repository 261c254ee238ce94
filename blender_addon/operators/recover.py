# SPDX-License-Identifier: GPL-3.0-or-later
"""Recover Mesh, the button for photos."""

from __future__ import annotations

import os

import bpy
from bpy.types import Operator

from .. import runtime
from ..client.photo_recovery import Failed, JobEnded, PhotoRecovery, Recovered, Source
from ..errors import UserError
from ..scene import build
from ..settings import preferences, properties
from ..settings.image_bytes import image_content
from . import OperatorResult
from .backend_operator import BackendOperator, pluralize, report_job_outcome


class RECOVERMESH_OT_recover(BackendOperator, Operator):
    """Recover the people in the chosen photos as posable bodies"""

    bl_idname = "recover_mesh.recover"
    bl_label = "Recover Mesh"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def blocked_reason(cls, context: bpy.types.Context) -> str:
        if runtime.state.busy:
            return "A recovery is running already"
        settings = properties.of_scene(context.scene)
        chosen = settings.image is not None if settings.source == "IMAGE" else len(settings.photos) > 0
        return "" if chosen else "Choose a photo first"

    def make_recovery(self, context: bpy.types.Context) -> PhotoRecovery:
        self._recovered: list[Recovered] = []
        self._built: list[str] = []
        self._people = 0
        self._scene = context.scene.name
        settings = properties.of_scene(context.scene)
        self._correctives = settings.correctives
        return PhotoRecovery(
            runtime.state.session,
            sources(settings),
            python=preferences.backend_python(),
            folder=runtime.user_folder(),
            device=preferences.get_preferences().device,
            model=settings.model or properties.DEFAULT_MODEL[0],
            people=properties.people_argument(settings),
        )

    def handle_event(self, event: Recovered | Failed) -> None:
        notes = runtime.state.notes
        if isinstance(event, Failed):
            notes.append(f"{event.source.label}: {event.error}")
        elif event.photo.people:
            self._recovered.append(event)
        else:
            notes.append(f"{event.source.label}: no people found.")

    def build_next(self) -> bool:
        # only once the job has ended: else Blender would show one photo after the other
        if self._ended is None or not self._recovered:
            return False
        self._build(self._recovered.pop(0))
        return bool(self._recovered)

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

    def report_outcome(self, ended: JobEnded) -> OperatorResult:
        built = len(self._built)
        summary = f"{pluralize(self._people, 'person', 'people')} in {pluralize(built, 'photo', 'photos')}"
        return report_job_outcome(self, ended, built, summary)


def sources(settings: properties.RecoverMeshSettings) -> list[Source]:
    """The chosen photos.  Raises UserError for an image that cannot be read."""
    if settings.source == "IMAGE":
        image = settings.image
        return [Source(image.name, image_content(image), image.name)]
    paths = [bpy.path.abspath(photo.path) for photo in settings.photos]
    return [Source(os.path.basename(path), path) for path in paths]


classes = (RECOVERMESH_OT_recover,)
