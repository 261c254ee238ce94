# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's preferences: the backend's environment and device."""

from __future__ import annotations

import os

import bpy
from bpy.props import EnumProperty, StringProperty
from bpy.types import AddonPreferences

from .. import runtime
from ..backend import install as backend_install
from ..backend import process as backend_process
from ..errors import UserError
from ..wrapped_label import draw_wrapped

# Blender's name of the add-on: `bl_ext.….recover_mesh`, or `blender_addon`
addon_package = __package__.rpartition(".")[0]


class RecoverMeshPreferences(AddonPreferences):
    bl_idname = addon_package

    environment: StringProperty(
        name="Environment",
        description="A Python or virtual environment that has recover-mesh installed. Empty: the private one",
        subtype="FILE_PATH",
    )
    device: EnumProperty(
        name="Device",
        description="What the backend computes on",
        items=(
            ("auto", "Automatic", "The GPU where there is one that it can use"),
            ("cpu", "CPU", "The processor"),
            ("cuda", "CUDA GPU", "An NVIDIA graphics card"),
        ),
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        text, icon = status()
        draw_wrapped(layout, text, icon, context.region.width)
        installation = runtime.state.installation
        if installation is not None and installation.running:
            row = layout.row()
            row.progress(factor=installation.fraction, text=installation.step)
            row.operator("recover_mesh.cancel_install", text="", icon="X")
        else:
            row = layout.row()
            row.enabled = not runtime.state.busy
            installed = backend_process.installed_version(runtime.user_folder())
            row.operator("recover_mesh.install_backend", text="Reinstall Backend" if installed else "Install Backend")
        if installation is not None:
            box = layout.box().column(align=True)
            for line in installation.lines[-6:]:
                box.label(text=line[:160])
            box.label(text=f"Log: {installation.log_path}")
        layout.use_property_split = True
        layout.prop(self, "environment")
        layout.prop(self, "device")


def get_preferences() -> RecoverMeshPreferences:
    return bpy.context.preferences.addons[addon_package].preferences  # type: ignore[return-value]


def environment() -> str:
    """Absolute path of the configured environment; empty if none is configured."""
    path = get_preferences().environment.strip()
    return os.path.abspath(bpy.path.abspath(path)) if path else ""


def backend_python() -> str:
    """Path of the backend's Python.  Raises UserError if there is none."""
    return backend_process.find_python(environment(), runtime.user_folder())


def status() -> tuple[str, str]:
    """A sentence on the state of the backend, with the next step, and the name of an icon."""
    state = runtime.state
    if state.installation is not None and state.installation.running:
        return "The backend is being installed.", "SORTTIME"
    if state.installation is not None and state.installation.error is not None:
        return str(state.installation.error), "ERROR"
    if state.session.running:
        device = state.session.device
        known = device and device != "auto"  # the backend chooses it when it loads its first model
        return f"The backend is running{f' on {device}' if known else ''}.", "CHECKMARK"
    try:
        backend_python()
    except UserError as error:
        return str(error), "ERROR"
    if not environment():
        installed = backend_process.installed_version(runtime.user_folder())
        bundled = backend_install.bundled_version()
        if bundled and bundled != installed:
            text = f"The backend {installed} is installed, this extension bundles {bundled}."
            return f"{text} Click Reinstall Backend.", "ERROR"
    return "The backend is ready. It starts with the first photo.", "CHECKMARK"


classes = (RecoverMeshPreferences,)
