"""glb and blend, written by Blender itself: the add-on's own scene code in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    """A Python in which `import bpy` works.  Raises RecoverMeshError `no_blender`."""
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
    result: FrameResult,
    body: BodyModel,
    pixels: np.ndarray | None,
    *,
    glb: Path | None = None,
    blend: Path | None = None,
) -> None:
    """Write one picture's people.  Raises RecoverMeshError `no_blender`, `blender_failed`."""
    python = blender_python()
    with tempfile.TemporaryDirectory(prefix="recover-mesh-") as name:
        folder = Path(name)
        people = [folder / f"person{k}.npz" for k in range(len(result.people))]
        for path, person in zip(people, result.people, strict=True):
            write_npz(path, result, person)
        _write_body(folder / "body.npz", body)
        image = folder / f"{Path(result.source).stem or 'photo'}.png" if pixels is not None else None
        if image is not None and pixels is not None:
            write_image(image, pixels)
        plan = {
            "results": [str(path) for path in people],
            "body": str(folder / "body.npz"),
            "image": None if image is None else str(image),
            "glb": None if glb is None else str(glb.resolve()),
            "blend": None if blend is None else str(blend.resolve()),
        }
        (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        _run([python, "-m", "blender_addon.headless", str(folder / "plan.json")], folder)
    for wanted in (glb, blend):
        if wanted is not None and not wanted.is_file():
            raise RecoverMeshError("blender_failed", f"Blender did not write {wanted}.", "Run `recover-mesh doctor`.")


def write_clip_through_blender(results: Sequence[Path], body: BodyModel, paths: Sequence[Path]) -> None:
    """Write a clip's people in Blender's formats.  results: the npz files of the people.

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
        (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        _run([python, "-m", "blender_addon.headless", str(folder / "plan.json")], folder)
    for wanted in paths:
        if not wanted.is_file():
            raise RecoverMeshError("blender_failed", f"Blender did not write {wanted}.", "Run `recover-mesh doctor`.")


def _write_body(path: Path, body: BodyModel) -> None:
    fields, arrays = body_message(body)
    np.savez(path, **{k: np.array(v) for k, v in fields.items()}, **arrays)  # type: ignore[arg-type]


def _run(command: list[str], folder: Path) -> None:
    root = Path(__file__).resolve().parent.parent.parent  # where `blender_addon` is importable from
    environment = {**os.environ, "PYTHONPATH": str(root), "BLENDER_USER_RESOURCES": str(folder / "profile")}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RecoverMeshError(
            "blender_failed", f"Blender could not be run ({error}).", "Run `recover-mesh doctor`."
        ) from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise RecoverMeshError("blender_failed", f"Blender failed: {last}", "Run `recover-mesh doctor`.")
