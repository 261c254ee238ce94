# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes whole F-curves in every Blender from 4.2 on.  Only this module depends on the version's API of actions.

4.2 and 4.3 have `Action.fcurves`; 4.4 added slots and layers, 4.5 `fcurve_ensure_for_datablock`; 5.0 removed
`Action.fcurves`.  On a layered action `Action.fcurves.new` makes curves that move nothing, without an error: so
`fcurve_ensure_for_datablock` is used where it exists.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

if TYPE_CHECKING:
    Animated = bpy.types.Object | bpy.types.Camera

_LINEAR, _CONSTANT = 1, 0  # Keyframe.interpolation as numbers
_BULK_METHOD = "convert_to_samples"  # a later Blender may remove it


@dataclass(frozen=True)
class Curve:
    """One F-curve.  values: (T,), a keyframe at every frame.  constant: interpolation CONSTANT (flags), else LINEAR."""

    path: str
    index: int
    group: str
    values: np.ndarray
    constant: bool = False


def action_of(target: Animated) -> bpy.types.Action | None:
    return target.animation_data.action if target.animation_data is not None else None


def new_action(target: Animated, name: str, kind: str = "") -> bpy.types.Action:
    """A new action, assigned to `target`.  kind: motion or visibility, which marks it as ours."""
    action = bpy.data.actions.new(name)
    if kind:
        action["recover_mesh"] = kind
    animation = target.animation_data or target.animation_data_create()
    animation.action = action
    return action


def write(action: bpy.types.Action, target: Animated, frames: np.ndarray, curves: Sequence[Curve]) -> None:
    """Add new curves to the action of `target`.  frames: (T,) of the scene."""
    count = len(frames)
    points = np.empty((count, 2), np.float32)
    points[:, 0] = frames
    create = _creator(action, target)
    for curve in curves if count else ():
        points[:, 1] = curve.values
        _insert_keys(create(curve), points, curve.constant)
    action.update_tag()  # foreach_set does not update the viewport
    animation = target.animation_data
    # without a slot nothing would move; `_creator` has always made one so far
    if count and getattr(animation, "action_slot", True) is None:
        animation.action_slot = action.slots[0]
    if count:
        action.use_frame_range = True
        action.frame_start, action.frame_end = float(frames[0]), float(frames[-1])


def _insert_keys(fcurve: bpy.types.FCurve, points: np.ndarray, constant: bool) -> None:
    """Insert the keys of an empty curve.  points: (T, 2) float32 of frame and value, T >= 1, frames ascending.

    The fastest way are samples that Blender converts to keys: they are written as a block and become LINEAR with
    valid handles, while properties of keys are set one by one.  Automatic smoothing of handles over many keys would
    take twice as long as all the rest, here and in each later edit, and is useless with a key at every frame.
    """
    if hasattr(fcurve, "auto_smoothing"):
        fcurve.auto_smoothing = "NONE"
    keys = fcurve.keyframe_points
    count, first = len(points), math.floor(points[0, 0])
    # not for fractional frames, where Blender adds a key before the first, nor for a single key, whose handles stay 0
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
    """Insert the same keys without samples."""
    keys = fcurve.keyframe_points
    keys.clear()
    keys.add(len(points))
    keys.foreach_set("co", points.ravel())
    keys.foreach_set("interpolation", np.full(len(points), _LINEAR, np.int32))
    fcurve.update()


def _creator(action: bpy.types.Action, target: Animated) -> Callable[[Curve], bpy.types.FCurve]:
    """A function that adds an empty F-curve to an action."""
    if not hasattr(action, "fcurve_ensure_for_datablock"):
        return lambda curve: action.fcurves.new(curve.path, index=curve.index, action_group=curve.group)
    groups: dict[str, bpy.types.ActionGroup] = {}  # looking one up takes longer than creating a curve

    def create(curve: Curve) -> bpy.types.FCurve:
        fcurve = action.fcurve_ensure_for_datablock(target, curve.path, index=curve.index)
        if curve.group not in groups:
            bag = next(iter(_channelbags(action)))  # a new action has one
            groups[curve.group] = bag.groups.get(curve.group) or bag.groups.new(curve.group)
        fcurve.group = groups[curve.group]
        return fcurve

    return create


def _channelbags(action: bpy.types.Action) -> list[bpy.types.ActionChannelbag]:
    strips: list[Any] = [strip for layer in action.layers for strip in layer.strips]
    return [bag for strip in strips for bag in strip.channelbags]


def curves_of(action: bpy.types.Action) -> list[bpy.types.FCurve]:
    """All F-curves of an action."""
    if hasattr(action, "layers") and not hasattr(action, "fcurves"):
        return [curve for bag in _channelbags(action) for curve in bag.fcurves]
    return list(action.fcurves)
