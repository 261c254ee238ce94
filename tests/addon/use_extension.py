"""Uses the installed zip like a user, in a fresh process and profile; prints one line of JSON.

usage: use_extension.py ZIP ENVIRONMENT PHOTO   (with BLENDER_USER_RESOURCES set to an empty folder)
       blender -b -P use_extension.py -- ZIP ENVIRONMENT PHOTO
With RECOVER_MESH_REAL set the real backend is used, else `fake_backend`, which must be importable in ENVIRONMENT.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

import bpy

MODULE = "bl_ext.user_default.recover_mesh"


def main(archive: str, environment: str, photo: str) -> dict:
    import addon_utils  # Blender's, importable after bpy

    bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=archive, enable_on_install=True, overwrite=True
    )
    assert addon_utils.check(MODULE) == (True, True), addon_utils.check(MODULE)
    runtime = importlib.import_module(f"{MODULE}.runtime")
    install = importlib.import_module(f"{MODULE}.backend.install")
    preferences = bpy.context.preferences.addons[MODULE].preferences
    if not os.environ.get("RECOVER_MESH_REAL"):
        runtime.state.session.extra_args = (
            *("--factory", "fake_backend:FakeRecoverer"),
            *("--body-source", "fake_backend:body_message"),
        )
    preferences.environment = environment
    bpy.context.scene.recover_mesh.photos.add().path = photo
    finished = bpy.ops.recover_mesh.recover()
    bpy.context.view_layer.update()
    body = next(o for o in bpy.data.objects if o.get("recover_mesh") == "body")
    evaluated = body.evaluated_get(bpy.context.evaluated_depsgraph_get())
    lowest = min((evaluated.matrix_world @ v.co).z for v in evaluated.data.vertices)
    drivers = body.data.shape_keys.animation_data.drivers
    bpy.context.view_layer.objects.active = body
    joints = bpy.ops.recover_mesh.update_joints()
    process = runtime.state.session.process
    report = {
        "blender": bpy.app.version_string,
        "python": ".".join(map(str, sys.version_info[:2])),
        "finished": "FINISHED" in finished and "FINISHED" in joints,
        "people": sum(o.get("recover_mesh") == "rig" for o in bpy.data.objects),
        "lowest_mm": lowest * 1e3,
        "simple_drivers": len(drivers) > 0 and all(d.driver.is_simple_expression for d in drivers),
        "bundled": install.bundled_version(),
        "folder": runtime.user_folder(),
    }
    addon_utils.disable(MODULE, default_set=True)
    report["ended"] = not process.alive
    report["leftovers"] = [name for name in dir(bpy.types) if name.startswith("RECOVERMESH")]
    report["leftovers"] += [name for name in ("recover_mesh",) if hasattr(bpy.types.Scene, name)]
    return report


if __name__ == "__main__":
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    print("REPORT " + json.dumps(main(*arguments)), flush=True)
