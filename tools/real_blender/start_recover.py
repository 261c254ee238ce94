"""Start script of a real Blender window for `steps_recover.sh` and `steps_clip.sh`: opens the tab and sets the input.

RECOVER_MESH_ENVIRONMENT names the backend's environment; CLIP is the path of a video, or PHOTOS a list of paths,
separated by colons.
"""

import os

import bpy

MODULE = "bl_ext.user_default.recover_mesh"


def prepare():
    bpy.context.preferences.addons[MODULE].preferences.environment = os.environ["RECOVER_MESH_ENVIRONMENT"]
    bpy.context.preferences.view.show_splash = False
    cube = bpy.data.objects.get("Cube")
    if cube is not None:
        bpy.data.objects.remove(cube)
    settings = bpy.context.scene.recover_mesh
    if "CLIP" in os.environ:
        settings.source = "CLIP"
        settings.clip.path = os.environ["CLIP"]
    elif not settings.photos:
        for path in os.environ["PHOTOS"].split(":"):
            settings.photos.add().path = path
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type != "VIEW_3D":
                continue
            if not area.spaces.active.show_region_ui:
                area.spaces.active.show_region_ui = True
                return 0.5  # the tab can be set only after the region is drawn
            for region in area.regions:
                if region.type == "UI":
                    try:
                        region.active_panel_category = "Recover Mesh"
                    except TypeError:
                        return 0.5
                    area.tag_redraw()
    bpy.ops.ed.undo_push(message="Prepared")  # scripts do not push undo steps
    return None


bpy.app.timers.register(prepare, first_interval=1.0)
