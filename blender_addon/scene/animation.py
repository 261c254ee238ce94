# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion as an action: the bones' turns, the root's way, and the lanes that tell how sure each frame is."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Quaternion

from . import armature, fcurves, quality
from .fcurves import Curve
from .motion import Motion, World, bone_turns, root_places
from .records import Body

LANES = ("filled", "contact_left", "contact_right", "reprojection_px", "jitter", "foot_slide", "problem")


def write_motion(
    rig: bpy.types.Object,
    body: Body,
    motion: Motion,
    world: World,
    start: float,
    fps: float,
    scale: float = 1.0,
) -> bpy.types.Action:
    """Replace the action of `rig`, if it is ours, by one that moves it through the whole motion.

    start: frame of the scene for the clip's frame 0.  fps: of the clip.  scale: frames of the scene per frame of the
    clip.  The object stands on the ground under the person's first place; the root bone does the rest.  In a scene that
    is not metric the object is scaled, not its bones.
    """
    axes = armature.rest_axes(rig.data)
    turns = bone_turns(motion, axes, world)
    places = root_places(body, motion, world)
    origin = np.array([places[0, 0], places[0, 1], 0.0])
    rig.location = (origin * world.scale).tolist()
    rig.scale = (world.scale,) * 3
    root = (places - origin - armature.rest_head(rig.data)) @ axes[0]
    frames = start + motion.frames * scale
    lanes = quality.lanes(body, motion, world, fps)
    curves = [
        Curve(f'pose.bones["{name}"].rotation_quaternion', k, name, turns[:, j, k])
        for j, name in enumerate(body.joint_names)
        for k in range(4)
    ]
    root_name = body.joint_names[0]
    curves += [Curve(f'pose.bones["{root_name}"].location', k, root_name, root[:, k]) for k in range(3)]
    for j, name in enumerate(body.joint_names):
        bone = rig.pose.bones[name]
        bone["confidence"] = float(motion.confidence[0, j])
        # the artist's view of a bone before the first key is its first pose
        bone.rotation_quaternion = Quaternion(turns[0, j].tolist())
        curves.append(Curve(f'pose.bones["{name}"]["confidence"]', 0, name, motion.confidence[:, j]))
    for name in LANES:
        values = lanes[name]
        rig[name] = float(values[0])
        steps = values.dtype == bool
        curves.append(Curve(f'["{name}"]', 0, "Quality", values.astype(float), steps))
    old = rig.animation_data.action if rig.animation_data is not None else None
    name = f"{rig.name} Motion"
    if old is not None and old.get("recover_mesh"):
        name = old.name
        rig.animation_data.action = None
        bpy.data.actions.remove(old)
    action = fcurves.new_action(rig, name)
    action["recover_mesh"] = "motion"
    fcurves.write(action, rig, frames, curves)
    return action
