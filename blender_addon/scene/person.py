# SPDX-License-Identifier: GPL-3.0-or-later
"""A person in the scene: armature, body mesh, pose correctives, colour, provenance."""

from __future__ import annotations

from typing import Any

import bpy

from . import armature, body, correctives, pose
from .records import Body, Person, Photo

# Custom property that marks what this extension makes: photo, clip, amass, camera, rig or body
KIND_KEY = "recover_mesh"

# Linear colours of bodies, easy to distinguish.  Clay and not skin: a body is shown over a photo of a real person
BODY_COLORS = (
    (0.20, 0.36, 0.62),
    (0.62, 0.30, 0.16),
    (0.25, 0.47, 0.22),
    (0.43, 0.27, 0.56),
    (0.58, 0.46, 0.15),
    (0.15, 0.45, 0.45),
    (0.58, 0.25, 0.33),
    (0.38, 0.38, 0.38),
)


def create_person(
    body_model: Body,
    person: Person,
    photo: Photo,
    name: str,
    number: int,
    collection: bpy.types.Collection,
    camera_height: float,
    *,
    with_correctives: bool = True,
) -> bpy.types.Object:
    """The rig (armature object) of a new person in `collection`.  number: selects the colour."""
    rig = armature.create_armature(body_model, person.betas, name, collection)
    mesh = body.create_mesh(body_model, f"{name} Body")
    body_object = bpy.data.objects.new(f"{name} Body", mesh)
    collection.objects.link(body_object)
    body.add_weights(body_model, body_object)
    body.add_shape_keys(body_model, body_object, person.betas)
    if with_correctives:
        correctives.add_correctives(body_model, body_object, rig)
    body_object.parent = rig
    modifier: Any = body_object.modifiers.new("Armature", "ARMATURE")
    modifier.object = rig
    mesh.materials.append(_material(number))
    body_object.color = (*BODY_COLORS[number % len(BODY_COLORS)], 1.0)
    pose.apply_pose(rig, body_model, person, camera_height)
    for obj, kind in ((rig, "rig"), (body_object, "body")):
        set_provenance(obj, kind, photo)
        obj["reprojection_px"] = person.reprojection_px
        obj["reprojection_relative"] = person.reprojection_relative
    return rig


def set_provenance(target: bpy.types.ID, kind: str, photo: Photo) -> None:
    """Store the kind, and the model, body model, licence and source, as custom properties."""
    target[KIND_KEY] = kind
    for key in ("model", "body", "license", "source"):
        target[key] = getattr(photo, key)


def parts(obj: bpy.types.Object | None) -> tuple[bpy.types.Object, bpy.types.Object] | None:
    """(rig, body mesh object) of the person that `obj` belongs to, or None."""
    if obj is None:
        return None
    rig = obj if obj.get(KIND_KEY) == "rig" else obj.parent
    if rig is None or rig.get(KIND_KEY) != "rig":
        return None
    bodies = (child for child in rig.children if child.get(KIND_KEY) == "body" and child.type == "MESH")
    found = next(bodies, None)
    return None if found is None else (rig, found)


def _material(number: int) -> bpy.types.Material:
    """The material of a colour, created once per file."""
    color = (*BODY_COLORS[number % len(BODY_COLORS)], 1.0)
    name = f"Recover Mesh Clay {number % len(BODY_COLORS) + 1}"
    material: bpy.types.Material | None = bpy.data.materials.get(name)
    if material is not None:
        return material
    material = bpy.data.materials.new(name)
    material.diffuse_color = color
    material.roughness = 0.7
    if hasattr(material, "use_nodes") and not material.use_nodes:
        material.use_nodes = True
    shader: Any = next((n for n in material.node_tree.nodes if n.type == "BSDF_PRINCIPLED"), None)
    if shader is not None:
        shader.inputs["Base Color"].default_value = color
        shader.inputs["Roughness"].default_value = 0.6
    return material
