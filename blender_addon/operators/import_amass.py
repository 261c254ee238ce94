# SPDX-License-Identifier: GPL-3.0-or-later
"""Import AMASS Motion: motion capture from AMASS's files, on a new body or on the active one."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty
from bpy.types import Operator

from ..errors import UserError
from ..scene import amass, footage, person
from ..settings import properties
from .npz_import import NpzImport, read_body

DEFAULT_BODY = "open_body"


class RECOVERMESH_OT_import_amass(NpzImport, Operator):
    """Import motions from AMASS's .npz files (SMPL, SMPL-H or SMPL-X) as keyframed bodies"""

    bl_idname = "recover_mesh.import_amass"
    bl_label = "Import AMASS Motion"
    bl_options = {"REGISTER", "UNDO"}

    onto: EnumProperty(
        name="Onto",
        description="The body that moves",
        items=(
            ("NEW", "New Body", "A new body for every file"),
            ("ACTIVE", "Active Body", "The active body, in its own shape. Its former action stays in the file"),
        ),
        options={"SKIP_SAVE"},
    )
    body: StringProperty(
        name="Body File",
        description="A body in the protocol's arrays. Empty: ask the backend for its open body",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    rate: EnumProperty(
        name="Frame Rate",
        description="Motion capture often has 60 or 120 frames per second",
        items=(
            ("SCENE", "Scene's", "One key per frame of the scene; the motion is as fast as it was"),
            ("FILE", "File's", "All keys of the file; the scene gets its frame rate"),
        ),
    )
    start: IntProperty(name="Start Frame", description="Frame of the scene for the first key", default=1)
    on_ground: BoolProperty(
        name="Stand on Ground",
        description="Move the whole motion up or down so that its lowest steps are at height 0: the actor's legs may "
        "have another length",
        default=True,
    )
    fit_range: BoolProperty(
        name="Fit Scene Range", description="Let the scene begin and end with the motion", default=True
    )

    def import_files(self, paths: list[str], context: bpy.types.Context) -> str:
        scene = context.scene
        sources = [amass.read(path) for path in paths]  # all, before anything is built
        rigs, body_model = [], None
        if self.onto == "ACTIVE":
            rigs = [self._active(context, len(sources))]
        else:
            body_model = read_body(self.body, sources[0].body or DEFAULT_BODY)
        if self.rate == "FILE":
            footage.set_rate(scene, sources[0].fps)
        sources = [amass.resample(source, footage.scene_rate(scene)) for source in sources]
        for source in sources:
            if body_model is None:
                amass.apply_to(rigs[0], source, start=self.start, on_ground=self.on_ground)
            else:
                correctives = properties.of_scene(scene).correctives
                options = {"start": self.start, "on_ground": self.on_ground, "with_correctives": correctives}
                rigs.append(amass.create(scene, source, body_model, **options))
        frames = max(len(source.poses) for source in sources)
        if self.fit_range:
            scene.frame_start, scene.frame_end = self.start, self.start + frames - 1
        for other in context.selected_objects:
            other.select_set(False)
        rigs[-1].select_set(True)
        context.view_layer.objects.active = rigs[-1]
        text = f"{', '.join(source.title for source in sources)}: {frames} frames at {sources[0].fps:g} fps."
        if body_model is not None and any(source.body != body_model.name for source in sources):
            text += f" The actor's shape is not used: its betas are SMPL's, not of the body {body_model.name!r}."
        return text

    def _active(self, context: bpy.types.Context, count: int) -> bpy.types.Object:
        """The active rig, for `count` motions.  Raises UserError."""
        found = person.parts(context.object)
        if found is None:
            raise UserError("No body is active.", "Select a recovered body or its armature, or import a new one.")
        if count > 1:
            raise UserError(f"{count} motions are chosen for one body.", "Choose one file.")
        return found[0]


def draw_menu(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(RECOVERMESH_OT_import_amass.bl_idname, text="AMASS Motion (.npz)")


classes = (RECOVERMESH_OT_import_amass,)
