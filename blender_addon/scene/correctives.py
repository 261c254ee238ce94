# SPDX-License-Identifier: GPL-3.0-or-later
"""Pose correctives (SMPL's pose blend shapes): shape keys with drivers, so that they follow every pose of the bones.

SMPL adds posedirs[..., 9 (j - 1) + 3 r + c] times the entry (r, c) of R_j - I, R_j being joint j's rotation (Loper et
al., SMPL, 2015, eq. 9).  Each entry is a quadratic form of the bone's quaternion, which Blender evaluates without
Python ("simple expression").
"""

from __future__ import annotations

import bpy
import numpy as np

from . import armature, basis, body
from .object_data import armature_data
from .records import Body

POSE_KEY = "Pose{:03d}"
NEGLIGIBLE = 1e-6  # m; a corrective with smaller offsets gets no key: it moves no vertex visibly

_PARTS = "wxyz"
_CHANNELS = {"w": "ROT_W", "x": "ROT_X", "y": "ROT_Y", "z": "ROT_Z"}


def add_correctives(body_model: Body, obj: bpy.types.Object, rig: bpy.types.Object) -> int:
    """Add a driven shape key per corrective with visible offsets; returns how many were added."""
    rest = body.rest_points(body_model)
    axes = armature.rest_axes(armature_data(rig))
    largest = np.abs(body_model.posedirs).max(axis=(0, 1)) if body_model.posedirs.size else np.zeros(0)
    made = 0
    for k in np.nonzero(largest > NEGLIGIBLE)[0].tolist():
        joint, entry = 1 + k // 9, k % 9
        if joint >= len(body_model.joint_names):
            break
        key = body.add_key(obj, POSE_KEY.format(k), rest + basis.body_points(body_model.posedirs[:, :, k]), 2.0)
        form = rotation_entry(axes[joint], entry // 3, entry % 3)
        _drive(key, form, rig, body_model.joint_names[joint])
        made += 1
    return made


def rotation_entry(bone_axes: np.ndarray, row: int, column: int) -> np.ndarray:
    """(4, 4) symmetric Q with q' Q q = entry (row, column) of R - I, for the bone's unit quaternion q = w x y z.

    bone_axes: (3, 3) rest axes of the bone as columns, in Blender's axes.  q is in the bone's axes, R in the body
    frame.
    """
    to_body = basis.BODY_TO_BLENDER.T @ bone_axes
    # R(q) v = (w^2 - u.u) v + 2 u (u.v) + 2 w (u x v), with q = (w, u) and u = to_body @ (x, y, z)
    a, b = np.eye(3)[row], np.eye(3)[column]
    form = np.zeros((4, 4))
    delta = float(row == column)
    form[0, 0] = delta
    vector = -delta * np.eye(3) + np.outer(a, b) + np.outer(b, a)
    form[1:, 1:] = to_body.T @ vector @ to_body
    form[0, 1:] = form[1:, 0] = np.cross(b, a) @ to_body
    return form - delta * np.eye(4)  # |q| = 1


def expression(form: np.ndarray) -> str:
    """The driver expression of a (4, 4) quadratic form of w, x, y, z."""
    terms = []
    for i in range(4):
        for j in range(i, 4):
            value = form[i, j] * (1 if i == j else 2)
            if abs(value) > 5e-7:
                terms.append(f"{value:+.6f}*{_PARTS[i]}*{_PARTS[j]}")
    return "".join(terms).lstrip("+") or "0.0"


def _drive(key: bpy.types.ShapeKey, form: np.ndarray, rig: bpy.types.Object, bone: str) -> None:
    driver = key.driver_add("value").driver  # type: ignore[union-attr]
    driver.type = "SCRIPTED"
    text = expression(form)
    for name in _PARTS:
        if name not in text:
            continue
        variable = driver.variables.new()
        variable.name = name
        # the rotation after constraints, in any rotation mode of the bone
        variable.type = "TRANSFORMS"
        target = variable.targets[0]
        target.id = rig
        target.bone_target = bone
        target.transform_type = _CHANNELS[name]
        target.rotation_mode = "QUATERNION"
        target.transform_space = "LOCAL_SPACE"
    driver.expression = text
