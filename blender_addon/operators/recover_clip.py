# SPDX-License-Identifier: GPL-3.0-or-later
"""Recover Mesh, the button for clips.  Keyframes appear while the clip is still being read."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from .. import runtime
from ..client.clip_recovery import ClipRecovery, ClipStarted, JobEnded
from ..client.events import Chunk, People
from ..errors import UserError
from ..scene.clip import ClipScene
from ..scene.footage import ClipInfo
from ..settings import clip_camera, clip_edits, clip_source, preferences, properties
from . import OperatorResult, clip_people
from .backend_operator import BackendOperator, pluralize, report_job_outcome


class RECOVERMESH_OT_recover_clip(BackendOperator, Operator):
    """Recover the people of the clip as keyframed bodies. Resumes where it was cancelled"""

    bl_idname = "recover_mesh.recover_clip"
    bl_label = "Recover Mesh"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def blocked_reason(cls, context: bpy.types.Context) -> str:
        if runtime.state.busy:
            return "A recovery is running already"
        return "" if clip_source.clip_path(properties.of_scene(context.scene).clip) else "Choose a clip first"

    def make_recovery(self, context: bpy.types.Context) -> ClipRecovery:
        settings = properties.of_scene(context.scene)
        fields = clip_source.job_fields(settings, context.scene)
        fields["camera"] = clip_camera.write(settings.clip, context.scene, fields["source"], fields["out"])
        file = clip_source.write_job(fields)
        self._scale_given = fields["scene_scale"] > 0
        self._scene = context.scene.name
        self._fields = fields
        self._start_frame = settings.clip.start
        self._match_rate = settings.clip.match_rate
        self._correctives = settings.correctives
        self._clip: ClipScene | None = None
        self._chunks: list[Chunk] = []
        self._frames: set[int] = set()
        return ClipRecovery(
            runtime.state.session,
            file,
            python=preferences.backend_python(),
            folder=runtime.user_folder(),
            device=preferences.get_preferences().device,
            model=settings.model or properties.DEFAULT_MODEL[0],
        )

    def handle_event(self, event: ClipStarted | Chunk | People) -> None:
        if isinstance(event, ClipStarted):
            self._start_scene(event)
        elif isinstance(event, Chunk):
            self._chunks.append(event)
        elif isinstance(event, People):
            settings = properties.of_scene(self._get_scene()).clip
            clip_edits.store(settings, self._fields, self._start_frame, event.arrays)
            clip_people.load_thumbnails(event.arrays)

    def _start_scene(self, event: ClipStarted) -> None:
        """Begin the clip's scene; again after a crash of the worker, when the backend repeats the finished chunks."""
        self._chunks.clear()
        info = ClipInfo.from_wire(event.header, self._start_frame)
        scene, correctives = self._get_scene(), self._correctives
        self._clip = ClipScene(scene, info, event.body, with_correctives=correctives, match_rate=self._match_rate)
        notes = runtime.state.notes
        notes += [note for note in (*self._clip.notes, info.notice) if note and note not in notes]
        if event.header["resumed"]:
            notes.append(f"Resumed: {pluralize(event.header['resumed'], 'frame was', 'frames were')} done.")

    def build_next(self) -> bool:
        if self._clip is None:
            return False
        try:
            for chunk in self._chunks:
                self._clip.add(chunk.arrays, chunk.final, chunk.world, chunk.scene_scale)
                self._report_scale(chunk.final, chunk.scene_scale)
                self._frames.update(chunk.arrays["frames"].tolist())
                runtime.state.notes += chunk.lost
            self._chunks.clear()
            self._clip.flush()
        except UserError as error:
            if self._ended is None:
                self._recovery.cancel()
            self._clip = None
            runtime.state.notes.append(str(error))
        return False

    def _report_scale(self, final: bool, scale: float) -> None:
        note = f"Scene scale found: {scale:.3g} units per metre."
        if final and scale != 1.0 and not self._scale_given and note not in runtime.state.notes:
            runtime.state.notes.append(note)

    def report_outcome(self, ended: JobEnded) -> OperatorResult:
        people = 0
        if self._clip is not None:
            try:
                self._clip.finish()
                people = self._clip.people
            except UserError as error:
                runtime.state.notes.append(str(error))
        if not people and ended.error is None and not ended.cancelled:
            runtime.state.notes.append("No people found in the clip.")
        summary = f"{pluralize(people, 'person', 'people')} in {pluralize(len(self._frames), 'frame', 'frames')}"
        return report_job_outcome(self, ended, people, summary)

    def _get_scene(self) -> bpy.types.Scene:
        return bpy.data.scenes.get(self._scene) or bpy.context.scene


classes = (RECOVERMESH_OT_recover_clip,)
