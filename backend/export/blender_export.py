"""Files in Blender's formats: a process with bpy runs the add-on's own scene code."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.body.wire import body_message
from backend.errors import RecoverMeshError
from backend.export.npz import write_npz
from backend.export.overlay import write_image
from backend.structures import FrameResult

if TYPE_CHECKING:
    from backend.body.model import BodyModel

PYTHON_VARIABLE = "RECOVER_MESH_BLENDER_PYTHON"  # a Python that has bpy, where this one has not
_TIMEOUT_SECONDS = 300.0


def blender_python() -> str:
    """Path of a Python in which `import bpy` works.  Raises RecoverMeshError `no_blender`."""
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        return named
    if importlib.util.find_spec("bpy") is not None:
        return sys.executable
    raise RecoverMeshError(
        "no_blender",
        "glb and blend files are written by Blender, which is not installed here.",
        "Run: python -m pip install 'recover-mesh[blender]' (Python 3.11), or name a Python that has bpy in "
        f"{PYTHON_VARIABLE}.",
    )


def write_through_blender(
    result: FrameResult, body: BodyModel, pixels: np.ndarray | None, paths: Mapping[str, Path]
) -> None:
    """Write one image's people.  Raises RecoverMeshError `no_blender`, `blender_failed`.

    pixels: uint8 RGB (H, W, 3), upright, shown in the scene.  paths: of `glb` and `blend`, or one of them.
    """
    python = blender_python()
    with tempfile.TemporaryDirectory(prefix="recover-mesh-") as name:
        folder = Path(name)
        people = [folder / f"person{k}.npz" for k in range(len(result.people))]
        for path, person in zip(people, result.people, strict=True):
            write_npz(path, result, person)
        _write_body(folder / "body.npz", body)
        plan: dict[str, Any] = {
            "results": [str(path) for path in people],
            "body": str(folder / "body.npz"),
            "image": None,
            **{name: str(paths[name].resolve()) if name in paths else None for name in ("glb", "blend")},
        }
        if pixels is not None:
            plan["image"] = str(folder / f"{Path(result.source).stem or 'photo'}.png")
            write_image(Path(plan["image"]), pixels)
        _run_blender(python, plan, folder, list(paths.values()))


def write_clip_through_blender(results: Sequence[Path], body: BodyModel, paths: Sequence[Path]) -> None:
    """Write a clip's people to `paths`, in the formats of their suffixes.  results: the npz files of the people.

    Raises RecoverMeshError `no_blender`, `blender_failed`.
    """
    python = blender_python()
    with tempfile.TemporaryDirectory(prefix="recover-mesh-") as name:
        folder = Path(name)
        _write_body(folder / "body.npz", body)
        plan = {
            "results": [str(path.resolve()) for path in results],
            "body": str(folder / "body.npz"),
            "write": [str(path.resolve()) for path in paths],
        }
        _run_blender(python, plan, folder, paths)


def _write_body(path: Path, body: BodyModel) -> None:
    fields, arrays = body_message(body)
    np.savez(path, **{k: np.array(v) for k, v in fields.items()}, **arrays)  # type: ignore[arg-type]


def _run_blender(python: str, plan: dict[str, Any], folder: Path, paths: Sequence[Path]) -> None:
    """Run `blender_addon.headless` on a plan, which must write `paths`.  Raises RecoverMeshError `blender_failed`."""
    plan_file = folder / "plan.json"
    plan_file.write_text(json.dumps(plan), encoding="utf-8")
    command = [python, "-m", "blender_addon.headless", str(plan_file)]
    root = Path(__file__).resolve().parent.parent.parent  # of `blender_addon`
    environment = {**os.environ, "PYTHONPATH": str(root), "BLENDER_USER_RESOURCES": str(folder / "profile")}
    hint = "Run `recover-mesh doctor`."
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RecoverMeshError("blender_failed", f"Blender could not be run ({error}).", hint) from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise RecoverMeshError("blender_failed", f"Blender failed: {last}", hint)
    for path in paths:
        if not path.is_file():
            raise RecoverMeshError("blender_failed", f"Blender did not write {path}.", hint)
