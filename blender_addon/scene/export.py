# SPDX-License-Identifier: GPL-3.0-or-later
"""Export of people with their motion: by Blender's exporters, and as a vertex cache (PC2) of the evaluated mesh."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import bpy
import numpy as np

from ..errors import UserError
from . import person
from .animation import all_shown
from .armature import selected
from .object_data import mesh_data

_PC2_HEADER = "<12siiffi"  # name, version, vertices, start, rate, frames


def write(path: str, scene: bpy.types.Scene, rigs: Sequence[bpy.types.Object]) -> None:
    """Export people with their motion in the format of the ending of `path`: glb, fbx, bvh, usd, usdc, abc, pc2.

    bvh and pc2 files contain one person: further ones are written to NAME-2.bvh, …  Raises UserError.
    """
    ending = os.path.splitext(path)[1].lower().lstrip(".")
    writer = _WRITERS.get(ending)
    if writer is None:
        raise UserError(f"Cannot export .{ending} files.", f"Choose from: {', '.join(_WRITERS)}.")
    if not rigs:
        raise UserError("There is no person to export.", "Select a recovered person.")
    path = os.path.abspath(path)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with all_shown(rigs):
            writer(path, scene, rigs)
    except (RuntimeError, OSError) as error:
        raise UserError(f"{path} cannot be written ({error}).", "Choose a folder that you may write to.") from None


def body_mesh_of(rig: bpy.types.Object) -> bpy.types.Object:
    """The body mesh, an object, of a rig.  Raises UserError if it was removed."""
    found = person.parts(rig)
    if found is None:
        raise UserError(f"{rig.name} has no body any more.", "Recover it again.")
    return found[1]


def _operator(path: str, add_on: str = "") -> Callable[..., set[str]]:
    """The operator `group.name`; enables `add_on` if needed.  Raises UserError if this Blender lacks it."""
    group, name = path.split(".")
    if name not in dir(getattr(bpy.ops, group)) and add_on:
        bpy.ops.preferences.addon_enable(module=add_on)
    if name not in dir(getattr(bpy.ops, group)):
        raise UserError(
            f"This Blender was built without the exporter {path}.",
            "Use Blender from blender.org, or another format.",
        )
    return getattr(getattr(bpy.ops, group), name)


def _rigs_and_meshes(rigs: Sequence[bpy.types.Object]) -> list[bpy.types.Object]:
    return [obj for rig in rigs for obj in (rig, body_mesh_of(rig))]


def _glb(path: str, scene: bpy.types.Scene, rigs: Sequence[bpy.types.Object]) -> None:
    with _without_correctives(rigs), selected(_rigs_and_meshes(rigs)):
        _operator("export_scene.gltf", "io_scene_gltf2")(
            filepath=path,
            export_format="GLB",
            use_selection=True,
            export_animations=True,
            export_animation_mode="ACTIVE_ACTIONS",
            export_force_sampling=True,
            export_frame_range=True,
            export_rest_position_armature=True,
            export_morph=True,
            export_morph_animation=False,
        )


def _fbx(path: str, scene: bpy.types.Scene, rigs: Sequence[bpy.types.Object]) -> None:
    with _without_correctives(rigs), selected(_rigs_and_meshes(rigs)):
        _operator("export_scene.fbx", "io_scene_fbx")(
            filepath=path,
            use_selection=True,
            object_types={"ARMATURE", "MESH"},
            add_leaf_bones=False,
            bake_anim=True,
            bake_anim_use_all_bones=True,
            bake_anim_use_nla_strips=False,
            bake_anim_use_all_actions=False,
            bake_anim_simplify_factor=0.0,
        )


def _bvh(path: str, scene: bpy.types.Scene, rigs: Sequence[bpy.types.Object]) -> None:
    for k, rig in enumerate(rigs, 1):
        with selected([rig]):
            _operator("export_anim.bvh", "io_anim_bvh")(
                filepath=_numbered(path, k),
                frame_start=scene.frame_start,
                frame_end=scene.frame_end,
                rotate_mode="NATIVE",
                root_transform_only=True,
            )


def _usd(path: str, scene: bpy.types.Scene, rigs: Sequence[bpy.types.Object]) -> None:
    with _without_correctives(rigs), selected(_rigs_and_meshes(rigs)):
        _operator("wm.usd_export")(
            filepath=path,
            selected_objects_only=True,
            export_animation=True,
            export_armatures=True,
            only_deform_bones=False,
        )


def _abc(path: str, scene: bpy.types.Scene, rigs: Sequence[bpy.types.Object]) -> None:
    with selected([body_mesh_of(rig) for rig in rigs]):
        _operator("wm.alembic_export")(
            filepath=path,
            selected=True,
            start=scene.frame_start,
            end=scene.frame_end,
            as_background_job=False,
            evaluation_mode="RENDER",
        )


def _pc2(path: str, scene: bpy.types.Scene, rigs: Sequence[bpy.types.Object]) -> None:
    """Write the vertices of every frame in object space, as the Mesh Cache modifier reads them."""
    current = scene.frame_current
    bodies = [body_mesh_of(rig) for rig in rigs]
    frames = range(scene.frame_start, scene.frame_end + 1)
    try:
        files = []
        for k, obj in enumerate(bodies, 1):
            files.append(open(_numbered(path, k), "wb"))  # noqa: SIM115 - closed below
            header = (b"POINTCACHE2\0", 1, len(mesh_data(obj).vertices), 0.0, 1.0, len(frames))
            files[-1].write(struct.pack(_PC2_HEADER, *header))
        for frame in frames:
            scene.frame_set(frame)
            graph = bpy.context.evaluated_depsgraph_get()
            for file, obj in zip(files, bodies, strict=True):
                mesh = obj.evaluated_get(graph).to_mesh()
                points = np.empty(3 * len(mesh.vertices), np.float32)
                mesh.vertices.foreach_get("co", points)
                file.write(points.tobytes())
                obj.evaluated_get(graph).to_mesh_clear()
    finally:
        for file in files:
            file.close()
        scene.frame_set(current)


def _numbered(path: str, number: int) -> str:
    stem, ending = os.path.splitext(path)
    return path if number == 1 else f"{stem}-{number}{ending}"


@contextmanager
def _without_correctives(rigs: Sequence[bpy.types.Object]) -> Iterator[None]:
    """Replace the meshes within the context by meshes with the betas baked in and without pose correctives.

    For formats without drivers: there bones alone deform the mesh, and strongly bent joints are thinner than in
    Blender.
    """
    swapped: list[tuple[bpy.types.Object, bpy.types.Mesh]] = []
    try:
        for rig in rigs:
            obj = body_mesh_of(rig)
            full_mesh = mesh_data(obj)
            obj.data = full_mesh.copy()
            swapped.append((obj, full_mesh))
            _bake_betas(obj)
        yield
    finally:
        for obj, full_mesh in swapped:
            baked_mesh = mesh_data(obj)
            obj.data = full_mesh
            bpy.data.meshes.remove(baked_mesh)


def _bake_betas(obj: bpy.types.Object) -> None:
    """Replace the shape keys of a body mesh by the shape of those without drivers."""
    mesh = mesh_data(obj)
    keys = mesh.shape_keys
    if keys is None:
        return
    count = 3 * len(mesh.vertices)
    base, one = np.empty(count, np.float32), np.empty(count, np.float32)
    keys.key_blocks[0].data.foreach_get("co", base)
    points = base.copy()
    driven = {d.data_path for d in keys.animation_data.drivers} if keys.animation_data is not None else set()
    for block in keys.key_blocks[1:]:
        if f'key_blocks["{block.name}"].value' not in driven and block.value:
            block.data.foreach_get("co", one)
            points += block.value * (one - base)
    obj.shape_key_clear()
    mesh.vertices.foreach_set("co", points)
    mesh.update()


_WRITERS: dict[str, Callable[[str, bpy.types.Scene, Sequence[bpy.types.Object]], None]] = {
    "glb": _glb,
    "fbx": _fbx,
    "bvh": _bvh,
    "usd": _usd,
    "usdc": _usd,
    "abc": _abc,
    "pc2": _pc2,
}
