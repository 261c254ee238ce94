# SPDX-License-Identifier: GPL-3.0-or-later
"""The armature: one bone per joint, with the body model's joint names and order, heads at the person's joints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import bpy
import numpy as np
from mathutils import Matrix

from . import basis, skeleton
from .object_data import armature_data
from .records import Body

# Stored with the armature, so that its joints can follow new betas without the backend
STORED = ("joints_template", "joints_shapedirs", "parents")


def create_armature(body: Body, betas: np.ndarray, name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    """A new armature object in `collection`, in the rest pose."""
    data = bpy.data.armatures.new(name)
    data.display_type = "WIRE"  # thin, so that the body stays visible
    obj = bpy.data.objects.new(name, data)
    obj.show_in_front = True
    collection.objects.link(obj)
    for key in STORED:
        data[key] = np.asarray(getattr(body, key), np.float64).ravel().tolist()
    data["floor"] = body.floor
    data["joint_names"] = list(body.joint_names)
    with edit_mode(obj):
        for j, joint in enumerate(body.joint_names):
            bone = data.edit_bones.new(joint)
            bone.use_connect = False
            if body.parents[j] >= 0:
                bone.parent = data.edit_bones[body.joint_names[body.parents[j]]]
        _place(data, betas)
    for j, joint in enumerate(body.joint_names):
        pose_bone = obj.pose.bones[joint]
        pose_bone.rotation_mode = "QUATERNION"
        # like a connected bone: only the root may be moved, the others can only be rotated
        pose_bone.lock_location = (bool(body.parents[j] >= 0),) * 3
        pose_bone.lock_scale = (True,) * 3
    return obj


def place_joints(obj: bpy.types.Object, betas: np.ndarray) -> None:
    """Move the bones to the joints of new betas; the root's head keeps its position in the world."""
    data = armature_data(obj)
    root = obj.pose.bones[data["joint_names"][0]]
    before = root.bone.head_local.copy()
    with edit_mode(obj):
        _place(data, betas)
    root = obj.pose.bones[data["joint_names"][0]]
    root.location += root.bone.matrix_local.to_3x3().transposed() @ (before - root.bone.head_local)


def rest_axes(data: bpy.types.Armature) -> np.ndarray:
    """(J, 3, 3) rest axes of the bones in armature space, columns X Y Z, in the body model's joint order."""
    return np.array([data.bones[name].matrix_local.to_3x3() for name in data["joint_names"]], np.float64)


def rest_head(data: bpy.types.Armature) -> np.ndarray:
    """(3,) head of the root bone in armature space."""
    return np.array(data.bones[data["joint_names"][0]].head_local, np.float64)


def beta_count(data: bpy.types.Armature) -> int:
    """Number of betas of the armature's body model."""
    return len(data["joints_shapedirs"]) // len(data["joints_template"])


def _place(data: bpy.types.Armature, betas: np.ndarray) -> None:
    """Set heads, tails and axes of all edit bones."""
    names = list(data["joint_names"])
    template = np.array(data["joints_template"]).reshape(-1, 3)
    directions = np.array(data["joints_shapedirs"]).reshape(len(names), 3, -1)
    parents = np.array(data["parents"]).astype(int)
    joints = template + directions @ betas
    axes = skeleton.bone_axes(names, parents, template)
    lengths = skeleton.bone_lengths(names, parents, joints, axes)
    heads = basis.body_points(joints) + np.array([0.0, 0.0, data["floor"]])
    for j, name in enumerate(names):
        bone = data.edit_bones[name]
        bone.head = (0.0, 0.0, 0.0)
        bone.tail = (0.0, float(lengths[j]), 0.0)
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = axes[j], heads[j]
        bone.matrix = Matrix(matrix.tolist())
        bone.head = heads[j].tolist()
        bone.tail = (heads[j] + lengths[j] * axes[j, :, 1]).tolist()


@contextmanager
def edit_mode(obj: bpy.types.Object) -> Iterator[None]:
    """Edit mode of one armature within the context; mode, active object and selection are restored.

    Edit bones exist in edit mode only, and only an operator enters it.
    """
    active = bpy.context.view_layer.objects.active
    mode = active.mode if active is not None else "OBJECT"
    if mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    try:
        with selected([obj]):
            bpy.ops.object.mode_set(mode="EDIT")
            try:
                yield
            finally:
                bpy.ops.object.mode_set(mode="OBJECT")
    finally:
        if mode != "OBJECT":
            bpy.ops.object.mode_set(mode=mode)


@contextmanager
def selected(objects: Sequence[bpy.types.Object]) -> Iterator[None]:
    """Select only these objects within the context, the first is active; the old selection is restored."""
    layer = bpy.context.view_layer
    before, active = [o for o in layer.objects if o.select_get()], layer.objects.active
    for obj in before:
        obj.select_set(False)
    for obj in objects:
        obj.select_set(True)
    layer.objects.active = objects[0]
    try:
        yield
    finally:
        for obj in objects:
            obj.select_set(False)
        for obj in before:
            obj.select_set(True)
        layer.objects.active = active
