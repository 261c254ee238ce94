# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovered pose on the pose bones of a rig."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Quaternion, Vector

from . import armature, basis
from .object_data import armature_data
from .records import Body, Person


def apply_pose(obj: bpy.types.Object, body: Body, person: Person, camera_height: float) -> None:
    """Pose the rig `obj`, with its origin on the ground under the person.

    camera_height: of the camera above the ground, m.
    """
    data = armature_data(obj)
    axes = armature.rest_axes(data)
    for name, quaternion in zip(body.joint_names, basis.bone_rotations(person.poses, axes), strict=True):
        obj.pose.bones[name].rotation_quaternion = Quaternion(quaternion.tolist())
    root = body.rest_joints(person.betas)[0] + person.trans  # skinning rotates the body about the root joint
    root_position = basis.camera_points(root) + np.array([0.0, 0.0, camera_height])
    obj.location = (root_position[0], root_position[1], 0.0)
    offset = root_position - np.array([root_position[0], root_position[1], 0.0]) - armature.rest_head(data)
    obj.pose.bones[body.joint_names[0]].location = Vector((axes[0].T @ offset).tolist())
    for name, value in zip(body.joint_names, person.confidence, strict=True):
        obj.pose.bones[name]["confidence"] = float(value)
