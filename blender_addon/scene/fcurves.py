# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole F-curves at once, in every Blender from 4.2 on.  The one place that knows how actions changed.

4.2 and 4.3 have `Action.fcurves`; 4.4 brought slots and layers, 4.5 `fcurve_ensure_for_datablock`; 5.0 removed the old
way.  On a layered action the old way makes curves that move nothing, without an error: the new way comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np

_LINEAR, _CONSTANT = 1, 0  # Keyframe.interpolation as numbers


@dataclass(frozen=True)
class Curve:
    """values: (T,), a key at every frame.  steps: they hold until the next (flags)."""

    path: str
    index: int
    group: str
    values: np.ndarray
    steps: bool = False


def new_action(target: bpy.types.ID, name: str) -> bpy.types.Action:
    """A new action that moves `target`."""
    action = bpy.data.actions.new(name)
    animation = target.animation_data or target.animation_data_create()
    animation.action = action
    return action


def write(
    action: bpy.types.Action, target: bpy.types.ID, frames: np.ndarray, curves: Sequence[Curve]
) -> None:
    """Add curves to an action that moves `target`, and has no keys of theirs yet.  frames: (T,) of the scene."""
    count = len(frames)
    points = np.empty((count, 2), np.float32)
    points[:, 0] = frames
    for curve in curves:
        fcurve = _new_curve(action, target, curve)
        keys = fcurve.keyframe_points
        keys.add(count)
        points[:, 1] = curve.values
        keys.foreach_set("co", points.ravel())
        kind = _CONSTANT if curve.steps else _LINEAR
        keys.foreach_set("interpolation", np.full(count, kind, np.int32))
        fcurve.update()
    animation = target.animation_data
    if getattr(animation, "action_slot", True) is None:  # never seen with the way above; nothing would move
        animation.action_slot = action.slots[0]
    if count:
        action.use_frame_range = True
        action.frame_start, action.frame_end = float(frames[0]), float(frames[-1])


def _new_curve(action: bpy.types.Action, target: bpy.types.ID, curve: Curve) -> bpy.types.FCurve:
    if hasattr(action, "fcurve_ensure_for_datablock"):
        ensured = action.fcurve_ensure_for_datablock(target, curve.path, index=curve.index)
        if "group_name" not in action.bl_rna.functions["fcurve_ensure_for_datablock"].parameters:
            _put_into_group(action, target, ensured, curve.group)
            return ensured
        if ensured.group is None or ensured.group.name != curve.group:
            _put_into_group(action, target, ensured, curve.group)
        return ensured
    return action.fcurves.new(curve.path, index=curve.index, action_group=curve.group)


def _put_into_group(
    action: bpy.types.Action, target: bpy.types.ID, fcurve: bpy.types.FCurve, name: str
) -> None:
    groups = next((bag.groups for bag in _channelbags(action)), None)
    if groups is not None:
        fcurve.group = groups.get(name) or groups.new(name)


def _channelbags(action: bpy.types.Action) -> list:
    return [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]


def curves_of(action: bpy.types.Action) -> list[bpy.types.FCurve]:
    """All curves of an action."""
    if hasattr(action, "layers") and not hasattr(action, "fcurves"):
        return [curve for bag in _channelbags(action) for curve in bag.fcurves]
    return list(action.fcurves)
