# SPDX-License-Identifier: GPL-3.0-or-later
"""SMPL's skinning (Loper et al., 2015) in numpy, for results without vertices.  No bpy here."""

from __future__ import annotations

import numpy as np

from . import basis
from .records import Body, Person


def lowest_point(body: Body, person: Person) -> float:
    """Height of the body's lowest vertex in Blender's axes, the camera at 0."""
    points = person.vertices if person.vertices is not None else skinned_vertices(body, person)
    return float(basis.camera_points(points)[:, 2].min())


def skinned_vertices(body: Body, person: Person) -> np.ndarray:
    """(V, 3) vertices in the camera frame, m: linear blend skinning with pose blend shapes."""
    rotations = basis.rotation_matrices(person.poses)
    joints = body.rest_joints(person.betas)
    features = (rotations[1:] - np.eye(3)).reshape(-1)[: body.posedirs.shape[2]]
    rest = body.v_template + body.shapedirs @ person.betas + body.posedirs @ features
    world = np.tile(np.eye(4), (len(joints), 1, 1))
    for j, parent in enumerate(body.parents):
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = rotations[j], joints[j] - (joints[parent] if parent >= 0 else 0)
        world[j] = world[parent] @ local if parent >= 0 else local
    world[:, :3, 3] -= np.einsum("jab,jb->ja", world[:, :3, :3], joints)
    skin = np.einsum("vj,jab->vab", body.weights, world[:, :3])
    return np.einsum("vab,vb->va", skin[:, :, :3], rest) + skin[:, :, 3] + person.trans
