# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab Recover Mesh in the 3D viewport."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import bpy
from bpy.types import Panel

from .. import runtime
from ..operators import clip_people
from ..operators.backend_operator import pluralize
from ..scene import armature, build, clip, person, quality
from ..scene.body import SHAPE_KEY
from ..scene.object_data import armature_data, mesh_data
from ..settings import clip_edits, clip_source, preferences, properties
from ..wrapped_label import draw_wrapped

MAX_LISTED_PHOTOS = 8
QUALITY_LABELS = {
    "reprojection_px": "Off by px",
    "jitter": "Jitter m/s³",
    "foot_slide": "Foot slide mm",
    "problem": "Problem",
}


if TYPE_CHECKING:
    _Mixin = Panel
else:
    _Mixin = object


class _SidebarPanel(_Mixin):
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Recover Mesh"


class RECOVERMESH_PT_recover(_SidebarPanel, Panel):
    bl_label = "Recover Mesh"

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, runtime.state
        settings = properties.of_scene(context.scene)
        column = layout.column()
        column.enabled = not state.busy
        column.row().prop(settings, "source", expand=True)
        if settings.source == "IMAGE":
            column.template_ID(settings, "image", open="image.open")
        elif settings.source == "CLIP":
            _draw_clip(column, settings.clip)
        else:
            _draw_photos(column, settings)
        options = column.column()
        options.use_property_split = True
        options.use_property_decorate = False
        options.prop(settings, "model")
        options.prop(settings, "people")
        if settings.people == "COUNT":
            options.prop(settings, "max_people")
        if settings.source == "CLIP":
            _draw_clip_options(options, settings.clip)
        options.prop(settings, "correctives")
        if state.busy:
            recovery = state.recovery
            row = layout.row(align=True)
            row.progress(factor=recovery.progress.fraction, text=f"{recovery.progress.fraction:.0%}")
            row.operator("recover_mesh.cancel", text="", icon="X")
            text = "Cancelling" if recovery.cancelling else recovery.progress.text
            lines = layout.column(align=True)
            for line in text.split(", ", 1):  # stage and progress on two lines: the sidebar is narrow
                lines.label(text=line)
        else:
            row = layout.row()
            row.scale_y = 1.4
            button = "recover_mesh.recover_clip" if settings.source == "CLIP" else "recover_mesh.recover"
            row.operator(button, icon="ARMATURE_DATA")
        width = context.region.width
        if state.error is not None:
            draw_wrapped(layout, str(state.error), "ERROR", width)
        elif not state.busy:
            text, icon = preferences.status()
            if icon == "ERROR":
                draw_wrapped(layout, text, icon, width)
        if not state.busy and preferences.status()[1] == "ERROR":  # the backend is not ready
            layout.operator(
                "preferences.addon_show", text="Open Preferences", icon="PREFERENCES"
            ).module = preferences.addon_package
        for note in state.notes[:MAX_LISTED_PHOTOS]:
            draw_wrapped(layout, note, "INFO", width)


class RECOVERMESH_PT_people(_SidebarPanel, Panel):
    bl_label = "People of the Clip"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        settings = properties.of_scene(context.scene)
        return settings.source == "CLIP" and len(settings.clip.people) > 0

    def draw(self, context: bpy.types.Context) -> None:
        layout, clip = self.layout, properties.of_scene(context.scene).clip
        if not clip_source.people_are_current(clip):
            text = "Another clip or range is chosen: recover it to see its people."
            draw_wrapped(layout, text, "INFO", context.region.width)
            return
        layout.enabled = not runtime.state.busy
        column = layout.column(align=True)
        for one in clip.people:
            row = column.row()
            icon_value = clip_people.icon(one.id)
            if icon_value:
                row.template_icon(icon_value=icon_value, scale=3.0)
            lines = row.column()
            row = lines.row()
            row.prop(one, "use", text=f"Person {one.id}")
            row.prop(one, "select", text="", icon="RESTRICT_SELECT_OFF")
            lines.label(text=_frame_range_label(one, clip.people_start))
        row = layout.row(align=True)
        row.operator("recover_mesh.merge_people")
        row.operator("recover_mesh.split_person")
        row.operator("recover_mesh.reset_people", text="", icon="LOOP_BACK")
        edits = layout.column(align=True)
        for text in clip_edits.labels(clip):
            edits.label(text=text, icon="DOT")
        apply = layout.column()
        apply.enabled = clip_edits.has_pending_edits(clip)
        apply.operator("recover_mesh.recover_clip", text="Apply", icon="FILE_REFRESH")
        if apply.enabled:
            draw_wrapped(layout, "Only the last step is repeated.", "INFO", context.region.width)


class RECOVERMESH_PT_quality(_SidebarPanel, Panel):
    bl_label = "Quality"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(clip.clips(context.scene))

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        for collection in clip.clips(scene):
            for rig in (o for o in collection.objects if o.get(person.KIND_KEY) == "rig"):
                layout.label(text=rig.name, icon="ARMATURE_DATA")
                grid = layout.grid_flow(columns=2, align=True)
                for name, label in QUALITY_LABELS.items():
                    if rig.get(name) is not None:
                        grid.label(text=f"{label}: {rig[name]:.1f}")
                if rig.get("hidden"):
                    layout.label(text="Hidden: nobody seen for long", icon="HIDE_ON")
                elif rig.get("filled"):
                    layout.label(text="Filled in: nobody seen here", icon="GHOST_DISABLED")
        layout.operator("recover_mesh.next_problem", icon="FORWARD")
        layout.label(text=pluralize(len(quality.problem_markers(scene)), "problem marked", "problems marked"))


class RECOVERMESH_PT_photos(_SidebarPanel, Panel):
    bl_label = "Recovered"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(build.photos(context.scene))

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        for collection in build.photos(context.scene):
            rigs = [o for o in collection.objects if o.get(person.KIND_KEY) == "rig"]
            shown = build.is_shown(context.view_layer, collection)
            row = column.row(align=True)
            icon: Any = "OUTLINER_OB_CAMERA" if shown else "CAMERA_DATA"
            button: Any = row.operator("recover_mesh.show_photo", text=collection.name, icon=icon, depress=shown)
            button.collection = collection.name
            if shown:
                column.label(text=pluralize(len(rigs), "person", "people"), icon="BLANK1")
                for rig in rigs:
                    column.label(text=f"{rig.name}: {_error_label(rig)}", icon="BLANK1")


class RECOVERMESH_PT_body(_SidebarPanel, Panel):
    bl_label = "Body"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return person.parts(context.object) is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        rig, skin = person.parts(context.object)
        column = layout.column(align=True)
        if rig.get("reprojection_px") is not None:
            column.label(text=f"Reprojection error: {_error_label(rig)}")
        column.label(text=f"Model: {rig.get('model', '')}")
        column.label(text=f"Body: {rig.get('body', '')}")
        draw_wrapped(column, f"Licence: {rig.get('license', '')}", "NONE", context.region.width)
        bone = context.active_pose_bone
        if bone is not None and bone.get("confidence") is not None:
            column.label(text=f"{bone.name}: {bone['confidence']:.0%} sure")
        layout.row().prop(rig.data, "pose_position", expand=True)
        keys = mesh_data(skin).shape_keys
        blocks: Any = keys.key_blocks if keys is not None else {}
        shape = layout.column(align=True)
        shape.use_property_split = True
        for k in range(armature.beta_count(armature_data(rig))):
            key = blocks.get(SHAPE_KEY.format(k))
            if key is not None:
                shape.prop(key, "value", text=f"Shape {k + 1}")
        layout.operator("recover_mesh.update_joints", icon="BONE_DATA")


def _draw_clip(layout: bpy.types.UILayout, settings: properties.RecoverMeshClipSettings) -> None:
    layout.template_ID(settings, "movie_clip", open="clip.open")
    if settings.movie_clip is None:
        layout.prop(settings, "path", text="")
    layout.operator("recover_mesh.use_strip", icon="SEQUENCE")


def _draw_clip_options(layout: bpy.types.UILayout, settings: properties.RecoverMeshClipSettings) -> None:
    camera = ("camera", "scene_scale") if settings.camera_kind == "SCENE" else ("focal",)
    for name in ("smoothing", "foot_lock", "height", "camera_kind", *camera, "start", "match_rate", "use_range"):
        layout.prop(settings, name)
    if settings.use_range:
        row = layout.column(align=True)
        row.prop(settings, "first")
        row.prop(settings, "last")
    layout.prop(settings, "step")


def _draw_photos(layout: bpy.types.UILayout, settings: properties.RecoverMeshSettings) -> None:
    layout.operator("recover_mesh.choose_photos", icon="FILE_IMAGE")
    if not settings.photos:
        return
    box = layout.box().column(align=True)
    for index, photo in enumerate(settings.photos[:MAX_LISTED_PHOTOS]):
        row = box.row()
        row.label(text=os.path.basename(photo.path))
        row.operator("recover_mesh.remove_photo", text="", icon="X", emboss=False).index = index
    more = len(settings.photos) - MAX_LISTED_PHOTOS
    if more > 0:
        box.label(text=f"and {pluralize(more, 'photo', 'photos')} more")


def _frame_range_label(one: properties.RecoverMeshClipPerson, start: int) -> str:
    text = f"{one.first + start}-{one.last + start}"
    return f"{text}, seen {one.seen} times" if one.seen else f"{text}, not applied yet"


def _error_label(rig: bpy.types.Object) -> str:
    return f"{rig.get('reprojection_px', 0.0):.1f} px ({rig.get('reprojection_relative', 0.0):.1%})"


classes = (
    RECOVERMESH_PT_recover,
    RECOVERMESH_PT_people,
    RECOVERMESH_PT_quality,
    RECOVERMESH_PT_photos,
    RECOVERMESH_PT_body,
)
