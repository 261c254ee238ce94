# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of an object under its own type; to Blender's type stubs it is one of many."""

from __future__ import annotations

import bpy


def armature_data(obj: bpy.types.Object) -> bpy.types.Armature:
    return obj.data  # type: ignore[return-value]


def camera_data(obj: bpy.types.Object) -> bpy.types.Camera:
    return obj.data  # type: ignore[return-value]


def mesh_data(obj: bpy.types.Object) -> bpy.types.Mesh:
    return obj.data  # type: ignore[return-value]
