# SPDX-License-Identifier: GPL-3.0-or-later
"""One person: armature, skin, correctives, colour, and where it all came from."""

from __future__ import annotations

from collections.abc import Callable

import bpy

from . import armature, body, correctives, pose
from .records import Body, Person, Photo

KIND_KEY = "recover_mesh"  # the custom property that marks everything this extension makes: photo, camera, rig, body

# A mannequin's clay, not skin: it stands over photos of real people.  Told apart at a glance; linear colours
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
    """Build one person into `collection`; returns the armature object.  `number` picks the colour."""
    rig = armature.create_armature(body_model, person.betas, name, collection)
    mesh = body.create_mesh(body_model, f"{name} Body")
    skin = bpy.data.objects.new(f"{name} Body", mesh)
    collection.objects.link(skin)
    body.add_weights(body_model, skin)
    body.add_shape_keys(body_model, skin, person.betas)
    if with_correctives:
        correctives.add_correctives(body_model, skin, rig)
    skin.parent = rig
    modifier = skin.modifiers.new("Armature", "ARMATURE")
    modifier.object = rig
    mesh.materials.append(_material(number))
    skin.color = (*BODY_COLORS[number % len(BODY_COLORS)], 1.0)
    pose.apply_pose(rig, body_model, person, camera_height)
    for obj, kind in ((rig, "rig"), (skin, "body")):
        set_provenance(obj, kind, photo)
        obj["reprojection_px"] = person.reprojection_px
        obj["reprojection_relative"] = person.reprojection_relative
    return rig


def set_provenance(target: bpy.types.ID, kind: str, photo: Photo) -> None:
    """What this is, and which model, body, licence and photo it came from."""
    target[KIND_KEY] = kind
    for key in ("model", "body", "license", "source"):
        target[key] = getattr(photo, key)


def parts(obj: bpy.types.Object | None) -> tuple[bpy.types.Object, bpy.types.Object] | None:
    """(rig, body) of the person that `obj` belongs to, or None."""
    if obj is None:
        return None
    rig = obj if obj.get(KIND_KEY) == "rig" else obj.parent
    if rig is None or rig.get(KIND_KEY) != "rig":
        return None
    is_skin: Callable[[bpy.types.Object], bool] = lambda o: o.get(KIND_KEY) == "body" and o.type == "MESH"  # noqa: E731
    skin = next((child for child in rig.children if is_skin(child)), None)
    return None if skin is None else (rig, skin)


def _material(number: int) -> bpy.types.Material:
    color = (*BODY_COLORS[number % len(BODY_COLORS)], 1.0)
    name = f"Recover Mesh Clay {number % len(BODY_COLORS) + 1}"
    found = bpy.data.materials.get(name)
    if found is not None:
        return found
    material = bpy.data.materials.new(name)
    material.diffuse_color = color
    material.roughness = 0.7
    if hasattr(material, "use_nodes") and not material.use_nodes:
        material.use_nodes = True
    shader = next((n for n in material.node_tree.nodes if n.type == "BSDF_PRINCIPLED"), None)
    if shader is not None:
        shader.inputs["Base Color"].default_value = color
        shader.inputs["Roughness"].default_value = 0.6
    return material
