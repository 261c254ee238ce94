# SPDX-License-Identifier: GPL-3.0-or-later
"""The body mesh: vertices, faces, UVs, smooth normals, skinning weights, a shape key per beta."""

from __future__ import annotations

from typing import Any

import bmesh
import bpy
import numpy as np

from . import basis
from .object_data import mesh_data
from .records import Body

SHAPE_KEY = "Shape{:03d}"
SLIDER = 5.0  # limit of the sliders of shape keys, standard deviations; more where a person's betas are larger


def rest_points(body: Body) -> np.ndarray:
    """(V, 3) vertices at betas 0 in Blender's axes, the lowest at z = 0."""
    return basis.body_points(body.v_template) + np.array([0.0, 0.0, body.floor])


def create_mesh(body: Body, name: str) -> bpy.types.Mesh:
    """A new mesh of the body at betas 0, facing -y, with UVs if the body model has them."""
    faces = np.ascontiguousarray(body.faces, np.int32)
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(body.v_template))
    mesh.vertices.foreach_set("co", _flat(rest_points(body)))
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    if body.uv is not None:
        layer = mesh.uv_layers.new(name="UVMap", do_init=False)
        layer.data.foreach_set("uv", _flat(body.uv))
    mesh.update(calc_edges=True)
    return mesh


def add_weights(body: Body, obj: bpy.types.Object) -> None:
    """Add a vertex group per joint.  Call it before shape keys are added: bmesh rewrites the mesh."""
    for name in body.joint_names:
        obj.vertex_groups.new(name=name)
    bm = bmesh.new()
    try:
        bm.from_mesh(mesh_data(obj))
        layer = bm.verts.layers.deform.verify()
        rows, columns = np.nonzero(body.weights > 0)
        values = body.weights[rows, columns]
        ends = np.searchsorted(rows, np.arange(len(body.weights)), side="right").tolist()
        columns, values = columns.tolist(), values.tolist()
        start = 0
        for vertex, end in zip(bm.verts, ends, strict=True):
            groups: Any = vertex[layer]
            for k in range(start, end):
                groups[columns[k]] = values[k]
            start = end
        bm.to_mesh(mesh_data(obj))
    finally:
        bm.free()


def add_shape_keys(body: Body, obj: bpy.types.Object, betas: np.ndarray) -> None:
    """Add the basis and a shape key per beta, with the person's betas as values."""
    obj.shape_key_add(name="Basis", from_mix=False)
    rest = rest_points(body)
    for k in range(body.shapedirs.shape[2]):
        limit = max(SLIDER, float(np.ceil(abs(betas[k]))))
        key = add_key(obj, SHAPE_KEY.format(k), rest + basis.body_points(body.shapedirs[:, :, k]), limit)
        key.value = float(betas[k])


def add_key(obj: bpy.types.Object, name: str, points: np.ndarray, limit: float) -> bpy.types.ShapeKey:
    """A new shape key.  points: (V, 3) in Blender's axes.  limit: of its slider, in both directions."""
    key = obj.shape_key_add(name=name, from_mix=False)
    key.points.foreach_set("co", _flat(points))
    key.slider_min, key.slider_max = -min(limit, 10.0), min(limit, 10.0)  # Blender's limit is 10
    return key


def read_betas(obj: bpy.types.Object, count: int) -> np.ndarray:
    """(count,) values of the shape keys of the betas; 0 for a key that was removed or muted."""
    shape_keys = mesh_data(obj).shape_keys
    keys: Any = shape_keys.key_blocks if shape_keys else {}
    found = [keys.get(SHAPE_KEY.format(k)) for k in range(count)]
    return np.array([0.0 if key is None or key.mute else key.value for key in found])


def lowest_point(obj: bpy.types.Object, count: int) -> float:
    """Height of the lowest vertex in the rest pose and present shape, above the object's origin, m."""
    mesh = mesh_data(obj)
    keys, size = mesh.shape_keys, 3 * len(mesh.vertices)
    base, one = np.empty(size, np.float32), np.empty(size, np.float32)
    (keys.key_blocks[0].data if keys is not None else mesh.vertices).foreach_get("co", base)
    points = base.copy()
    for k, value in enumerate(read_betas(obj, count)):
        if value:
            keys.key_blocks[SHAPE_KEY.format(k)].data.foreach_get("co", one)
            points += value * (one - base)
    return float(points[2::3].min())


def _flat(points: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(points, np.float32).ravel()
