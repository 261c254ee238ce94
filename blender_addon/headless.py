# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m blender_addon.headless PLAN.json`: results to .blend and .glb without a window.

The command line's `--export blend,glb` runs it in a separate process, with a Python that has bpy.

PLAN.json of a photo: `results`, one npz file per person; `body`, an npz file with the protocol's `body` arrays and
`name`, `license`, `joint_names`; `image`, path of the upright image, or null; `blend` and `glb`, paths to write, or
null.  PLAN.json of a clip: `clip` (path, or null), `results`, `body`, and `write`, the paths to write.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

import bpy

from .errors import UserError
from .scene import build, clip_npz, export, records
from .scene.object_data import mesh_data
from .scene.person import KIND_KEY


def run(plan: dict) -> None:
    """Build the scene in an empty file and write the files of the plan.  Raises UserError."""
    if "write" in plan:
        run_clip(plan)
        return
    photo = records.photo_from_npz(plan["results"])
    body = records.body_from_npz(plan["body"])
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    image = _load_image(plan.get("image"))
    collection = build.build_photo(photo, body, image=image)
    bpy.context.view_layer.update()
    if plan.get("blend"):
        if image is not None:
            image.pack()  # the file needs no other file
        _write(plan["blend"], lambda path: bpy.ops.wm.save_as_mainfile(filepath=path, copy=True, compress=True))
    if plan.get("glb"):
        for obj in collection.objects:
            if obj.get(KIND_KEY) == "body":
                bake_shape(obj)
        _write(plan["glb"], _export_glb)


def run_clip(plan: dict) -> None:
    """Build a clip in an empty file and write it in every format.  Raises UserError."""
    body = records.body_from_npz(plan["body"])
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    clip_npz.build(scene, plan["results"], body)
    rigs = [o for o in scene.objects if o.get(KIND_KEY) == "rig"]
    for path in plan["write"]:
        if path.endswith(".blend"):
            _write(path, lambda path: bpy.ops.wm.save_as_mainfile(filepath=path, copy=True, compress=True))
        else:
            export.write(path, scene, rigs)


def bake_shape(obj: bpy.types.Object) -> None:
    """Replace the shape keys by the shape that they give in this pose.

    For formats without drivers: the skinned mesh is exact in this pose, and the file small.
    """
    mesh = mesh_data(obj)
    if mesh.shape_keys is None:
        return
    mix = obj.shape_key_add(name="Mix", from_mix=True)
    points = [0.0] * (3 * len(mesh.vertices))
    mix.points.foreach_get("co", points)
    obj.shape_key_clear()
    mesh.vertices.foreach_set("co", points)
    mesh.update()


def _export_glb(path: str) -> None:
    if not hasattr(bpy.types, "EXPORT_SCENE_OT_gltf"):
        bpy.ops.preferences.addon_enable(module="io_scene_gltf2")
    bpy.ops.export_scene.gltf(
        filepath=path,
        export_format="GLB",
        export_animations=False,
        export_rest_position_armature=False,
        export_cameras=True,
        export_extras=True,
    )


def _load_image(path: str | None) -> bpy.types.Image | None:
    if not path:
        return None
    try:
        return bpy.data.images.load(os.path.abspath(path))
    except RuntimeError as error:
        raise UserError(f"The image {path} cannot be read ({error}).", "Check that the file exists.") from None


def _write(path: str, writer: Callable[[str], object]) -> None:
    path = os.path.abspath(path)
    try:
        writer(path)
    except RuntimeError as error:
        raise UserError(f"{path} cannot be written ({error}).", "Choose a folder that you may write to.") from None
    if not os.path.isfile(path):
        raise UserError(f"{path} was not written.", "Choose a folder that you may write to.")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m blender_addon.headless PLAN.json", file=sys.stderr)
        return 2
    try:
        with open(arguments[0], encoding="utf-8") as file:
            plan = json.load(file)
        run(plan)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
