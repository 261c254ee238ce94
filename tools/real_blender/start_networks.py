"""Start script of a real Blender window for `steps_networks.sh`: as `start_recover.py`, then selects a network.

RECOVER_MESH_HOME holds test weights; NETWORK names one.
"""

import importlib
import os
from pathlib import Path

import bpy

exec(compile((Path(__file__).parent / "start_recover.py").read_text(), "start_recover.py", "exec"))


def choose():
    runtime = importlib.import_module(f"{MODULE}.runtime")  # type: ignore[name-defined]  # noqa: F821
    preferences = importlib.import_module(f"{MODULE}.settings.preferences")  # type: ignore[name-defined]  # noqa: F821
    session = runtime.state.session
    if not session.running:
        session.connect(preferences.backend_python(), runtime.user_folder(), "cpu")
    bpy.context.scene.recover_mesh.model = os.environ["NETWORK"]
    return None


bpy.app.timers.register(choose, first_interval=4.0)
