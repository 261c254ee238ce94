# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion as an action: bone rotations, root translation, quality properties and visibility."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import bpy
import numpy as np
from mathutils import Quaternion

from . import armature, basis, fcurves, person, quality
from .fcurves import Curve
from .motion import Motion, World
from .object_data import armature_data
from .records import Body

QUALITY_PROPERTIES = (
    "filled", "hidden", "contact_left", "contact_right", "reprojection_px", "jitter", "foot_slide", "problem",
)  # fmt: skip
_HIDDEN = ("hide_viewport", "hide_render")


def write_motion(
    rig: bpy.types.Object,
    body: Body,
    motion: Motion,
    world: World,
    start: float,
    fps: float,
    *,
    measured: bool = True,
) -> bpy.types.Action:
    """The new action of `rig` with the whole motion.  It replaces the old one, if that is ours.

    start: frame of the scene for the clip's frame 0.  fps: of the clip.  measured: the motion was recovered from
    footage, so that confidence and quality are animated too.  The object is on the ground under the person's first
    position; the root bone is animated relative to it.  In a scene that is not metric the object is scaled, not its
    bones.
    """
    axes = armature.rest_axes(armature_data(rig))
    rotations = basis.continuous_quaternions(basis.bone_rotations(motion.poses, axes, world.rotation))
    # skinning rotates the body about the root joint
    positions = world.points(body.rest_joints(motion.betas)[0] + motion.trans)
    origin = np.array([positions[0, 0], positions[0, 1], 0.0])
    rig.location = (origin * world.scale).tolist()
    rig.scale = (world.scale,) * 3
    root = (positions - origin - armature.rest_head(armature_data(rig))) @ axes[0]
    frames = start + motion.frames
    quality_curves = quality.quality_curves(body, motion, world, fps) if measured else {}
    curves = [
        Curve(f'pose.bones["{name}"].rotation_quaternion', k, name, rotations[:, j, k])
        for j, name in enumerate(body.joint_names)
        for k in range(4)
    ]
    root_name = body.joint_names[0]
    curves += [Curve(f'pose.bones["{root_name}"].location', k, root_name, root[:, k]) for k in range(3)]
    for j, name in enumerate(body.joint_names):
        bone = rig.pose.bones[name]
        # the pose before the first keyframe
        bone.rotation_quaternion = Quaternion(rotations[0, j].tolist())
        if measured:
            bone["confidence"] = float(motion.confidence[0, j])
            curves.append(Curve(f'pose.bones["{name}"]["confidence"]', 0, name, motion.confidence[:, j]))
    for name in QUALITY_PROPERTIES if measured else ():
        values = quality_curves[name]
        rig[name] = float(values[0])
        constant = values.dtype == bool
        curves.append(Curve(f'["{name}"]', 0, "Quality", values.astype(float), constant))
    visibility = _visibility_curves(motion.hidden)
    action = fcurves.new_action(rig, _remove_own_action(rig) or f"{rig.name} Motion", "motion")
    fcurves.write(action, rig, frames, curves + visibility)
    _animate_visibility(rig, frames, visibility)
    return action


def _visibility_curves(hidden: np.ndarray) -> list[Curve]:
    """Curves that hide an object in viewport and render; none for a person who is never hidden."""
    if not hidden.any():
        return []
    return [Curve(path, 0, "Visibility", hidden.astype(float), constant=True) for path in _HIDDEN]


def _animate_visibility(rig: bpy.types.Object, frames: np.ndarray, visibility: list[Curve]) -> None:
    """Animate the visibility of rig and body.  The body has its own action: a hidden rig does not hide its children."""
    pair = person.parts(rig)
    objects = [rig] if pair is None else list(pair)
    for obj in objects[1:]:
        name = _remove_own_action(obj)
        if visibility:
            action = fcurves.new_action(obj, name or f"{obj.name} Visibility", "visibility")
            fcurves.write(action, obj, frames, visibility)
    if not visibility:  # an earlier motion may have left them hidden
        for obj in objects:
            obj.hide_viewport = obj.hide_render = False


def _remove_own_action(obj: bpy.types.Object) -> str:
    """Remove the action of an object if it is ours; returns its name, empty if there was none."""
    old = fcurves.action_of(obj)
    if old is None or not old.get("recover_mesh"):
        return ""
    name = old.name
    obj.animation_data.action = None
    bpy.data.actions.remove(old)
    return name


@contextmanager
def all_shown(rigs: Sequence[bpy.types.Object]) -> Iterator[None]:
    """Show all rigs and bodies in every frame within the context: Blender does not evaluate hidden objects."""
    muted, before = [], []
    for obj in [part for rig in rigs for part in person.parts(rig) or (rig,)]:
        action = fcurves.action_of(obj)
        curves = [] if action is None else fcurves.curves_of(action)
        found = [curve for curve in curves if curve.data_path in _HIDDEN and not curve.mute]
        if found:
            before.append((obj, obj.hide_viewport, obj.hide_render))
            obj.hide_viewport = obj.hide_render = False
        for curve in found:
            curve.mute = True
            muted.append(curve)
    try:
        yield
    finally:
        for curve in muted:
            curve.mute = False
        for obj, viewport, render in before:
            obj.hide_viewport, obj.hide_render = viewport, render
