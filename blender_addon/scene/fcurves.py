# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole F-curves at once, in every Blender from 4.2 on.  The one place that knows how actions changed.

4.2 and 4.3 have `Action.fcurves`; 4.4 brought slots and layers, 4.5 `fcurve_ensure_for_datablock`; 5.0 removed the old
way.  On a layered action the old way makes curves that move nothing, without an error: the new way comes first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import bpy
import numpy as np

_LINEAR, _CONSTANT = 1, 0  # Keyframe.interpolation as numbers
_BULK_METHOD = "convert_to_samples"  # which not every Blender may have for ever


@dataclass(frozen=True)
class Curve:
    """values: (T,), a key at every frame.  constant: they hold until the next (flags)."""

    path: str
    index: int
    group: str
    values: np.ndarray
    constant: bool = False


def new_action(target: bpy.types.ID, name: str) -> bpy.types.Action:
    """A new action that moves `target`."""
    action = bpy.data.actions.new(name)
    animation = target.animation_data or target.animation_data_create()
    animation.action = action
    return action


def write(action: bpy.types.Action, target: bpy.types.ID, frames: np.ndarray, curves: Sequence[Curve]) -> None:
    """Add curves to an action that moves `target`, and has no keys of theirs yet.  frames: (T,) of the scene."""
    count = len(frames)
    points = np.empty((count, 2), np.float32)
    points[:, 0] = frames
    create = _creator(action, target)
    for curve in curves if count else ():
        points[:, 1] = curve.values
        _insert_keys(create(curve), points, curve.constant)
    action.update_tag()  # the bulk ways do not tell the viewport
    animation = target.animation_data
    if count and getattr(animation, "action_slot", True) is None:  # never seen with the way above; nothing would move
        animation.action_slot = action.slots[0]
    if count:
        action.use_frame_range = True
        action.frame_start, action.frame_end = float(frames[0]), float(frames[-1])


def _insert_keys(fcurve: bpy.types.FCurve, points: np.ndarray, constant: bool) -> None:
    """Keys of an empty curve.  points: (T, 2) float32 of frame and value, T >= 1, in the order of frames.

    Samples, turned into keys by Blender, are the quickest: they are written as a block, and come out linear and with
    their handles; properties of keys are set one by one.  Handles look at their neighbours only, which is right where
    there is a key at every frame: smoothing over many keys would cost twice as much as all the rest, here and in each
    later edit.
    """
    if hasattr(fcurve, "auto_smoothing"):
        fcurve.auto_smoothing = "NONE"
    keys = fcurve.keyframe_points
    count, first = len(points), math.floor(points[0, 0])
    # Blender adds a key before a broken frame, and leaves the handles of a single key at 0
    if hasattr(fcurve, _BULK_METHOD) and first == points[0, 0] and count > 1:
        keys.add(1)  # a curve without keys cannot be sampled
        fcurve.convert_to_samples(0, count)
        fcurve.sampled_points.foreach_set("co", points.ravel())
        fcurve.convert_to_keyframes(first, first + count)
    if len(keys) != count:
        _insert_keyframe_points(fcurve, points)
    if constant:
        keys.foreach_set("interpolation", np.full(count, _CONSTANT, np.int32))


def _insert_keyframe_points(fcurve: bpy.types.FCurve, points: np.ndarray) -> None:
    """The plain way to the same keys."""
    keys = fcurve.keyframe_points
    keys.clear()
    keys.add(len(points))
    keys.foreach_set("co", points.ravel())
    keys.foreach_set("interpolation", np.full(len(points), _LINEAR, np.int32))
    fcurve.update()


def _creator(action: bpy.types.Action, target: bpy.types.ID) -> Callable[[Curve], bpy.types.FCurve]:
    """What makes the F-curves of an action."""
    if not hasattr(action, "fcurve_ensure_for_datablock"):
        return lambda curve: action.fcurves.new(curve.path, index=curve.index, action_group=curve.group)
    groups: dict[str, bpy.types.ActionGroup] = {}  # looking one up costs more than making a curve

    def create(curve: Curve) -> bpy.types.FCurve:
        fcurve = action.fcurve_ensure_for_datablock(target, curve.path, index=curve.index)
        if curve.group not in groups:
            bag = next(iter(_channelbags(action)))  # a new action has one
            groups[curve.group] = bag.groups.get(curve.group) or bag.groups.new(curve.group)
        fcurve.group = groups[curve.group]
        return fcurve

    return create


def _channelbags(action: bpy.types.Action) -> list:
    return [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]


def curves_of(action: bpy.types.Action) -> list[bpy.types.FCurve]:
    """All curves of an action."""
    if hasattr(action, "layers") and not hasattr(action, "fcurves"):
        return [curve for bag in _channelbags(action) for curve in bag.fcurves]
    return list(action.fcurves)
