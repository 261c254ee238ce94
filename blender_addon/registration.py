# SPDX-License-Identifier: GPL-3.0-or-later
"""Registers the extension's classes, menus and handlers with Blender, and removes them again."""

from __future__ import annotations

import atexit

import bpy
from bpy.app.handlers import persistent

from . import runtime
from .operators import (
    cancel,
    choose_photos,
    clip_people,
    edit_people,
    import_amass,
    import_result,
    install_backend,
    next_problem,
    recover,
    recover_clip,
    remove_photo,
    show_photo,
    update_joints,
    use_strip,
)
from .settings import preferences, properties
from .ui import panels

_modules = (
    preferences,
    properties,
    choose_photos,
    remove_photo,
    recover,
    recover_clip,
    edit_people,
    use_strip,
    next_problem,
    cancel,
    install_backend,
    import_result,
    import_amass,
    show_photo,
    update_joints,
    panels,
)
_classes = [cls for module in _modules for cls in module.classes]


def register() -> None:
    for cls in _classes:
        bpy.utils.register_class(cls)
    properties.attach()
    for module in (import_result, import_amass):
        bpy.types.TOPBAR_MT_file_import.append(module.draw_menu)
    bpy.app.handlers.load_pre.append(_before_load)
    atexit.register(runtime.shut_down)


def unregister() -> None:
    runtime.shut_down()
    atexit.unregister(runtime.shut_down)
    if _before_load in bpy.app.handlers.load_pre:
        bpy.app.handlers.load_pre.remove(_before_load)
    for module in (import_result, import_amass):
        bpy.types.TOPBAR_MT_file_import.remove(module.draw_menu)
    clip_people.free_thumbnails()
    properties.detach()
    for cls in reversed(_classes):
        bpy.utils.unregister_class(cls)


@persistent
def _before_load(*_: object) -> None:
    """Cancel the recovery before another file is opened: its results belong to the present file."""
    runtime.drop_job()
