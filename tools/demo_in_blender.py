"""The Blender half of `make demo`: installs the zip into an empty profile and runs its operator.

usage: demo_in_blender.py JOB.json, with BLENDER_USER_RESOURCES set to an empty folder.  JOB.json holds `zip`,
`python`, `photos` and `out`.  Leaves NAME.blend, NAME.glb and NAME_layer.png (the bodies through the photo's camera).
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path

import bpy

MODULE = "bl_ext.user_default.recover_mesh"
LONGEST_RENDER = 1280  # px


def main(job: dict) -> None:
    import addon_utils  # Blender's own, importable once bpy is

    bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=job["zip"], enable_on_install=True, overwrite=True
    )
    if addon_utils.check(MODULE) != (True, True):
        raise SystemExit(f"The extension could not be enabled: {addon_utils.check(MODULE)}")
    bpy.context.preferences.addons[MODULE].preferences.environment = job["python"]
    try:
        for photo in job["photos"]:
            recover(photo, Path(job["out"]) / Path(photo).stem)
    finally:
        addon_utils.disable(MODULE, default_set=True)  # stops the backend; else Blender hangs at exit


def recover(photo: str, stem: Path) -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.context.scene.recover_mesh.photos.add().path = photo
    start = time.perf_counter()
    bpy.ops.recover_mesh.recover()
    seconds = time.perf_counter() - start
    rigs = [o for o in bpy.data.objects if o.get("recover_mesh") == "rig"]
    print(f"   {Path(photo).name}: {len(rigs)} rigged bodies, {seconds:.2f} s from click to body", flush=True)
    if not rigs:
        return
    light_and_render(stem.with_name(f"{stem.name}_layer.png"))
    for image in bpy.data.images:
        if image.source == "FILE" and image.packed_file is None:
            image.pack()  # a self-contained .blend
    bpy.ops.wm.save_as_mainfile(filepath=str(stem.with_suffix(".blend")), compress=True)
    headless = importlib.import_module(f"{MODULE}.headless")
    for obj in bpy.data.objects:
        if obj.get("recover_mesh") == "body":
            headless.bake_shape(obj)
    bpy.ops.preferences.addon_enable(module="io_scene_gltf2")
    bpy.ops.export_scene.gltf(
        filepath=str(stem.with_suffix(".glb")),
        export_format="GLB",
        export_animations=False,
        export_rest_position_armature=False,
        export_extras=True,
    )


def light_and_render(path: Path) -> None:
    """Add a key and a fill light and render once with Cycles on the CPU."""
    scene = bpy.context.scene
    for name, energy, rotation in (("Key", 3.0, (0.9, 0.1, 0.6)), ("Fill", 1.0, (1.1, 0.0, -1.0))):
        light = bpy.data.lights.new(name, "SUN")
        light.energy = energy
        obj = bpy.data.objects.new(name, light)
        obj.rotation_euler = rotation
        scene.collection.objects.link(obj)
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = 16
    scene.cycles.use_denoising = False
    scene.render.film_transparent = True
    scene.view_settings.view_transform = "Standard"
    longest = max(scene.render.resolution_x, scene.render.resolution_y)
    scene.render.resolution_percentage = min(100, int(100 * LONGEST_RENDER / longest))
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    scene.render.resolution_percentage = 100


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
    sys.stdout.flush()
    os._exit(0)  # bpy 4.5 may hang while it unloads
