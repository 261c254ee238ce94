"""The user's data and cache folders, by the conventions of each operating system."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from backend.errors import RecoverMeshError

HOME_VARIABLE = "RECOVER_MESH_HOME"  # overrides everything: data and cache are below it
_NAME = "recover-mesh"


def data_dir() -> Path:
    """Folder of the user's own bodies and weights, created where missing.  Raises RecoverMeshError `unwritable`."""
    return _ensure(_base("data"))


def cache_dir() -> Path:
    """Folder of what can be computed again, created where missing.  Raises RecoverMeshError `unwritable`."""
    return _ensure(_base("cache"))


def _base(kind: str) -> Path:
    override = os.environ.get(HOME_VARIABLE)
    if override:
        return Path(override) / kind
    home = Path.home()
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        return local / _NAME / kind
    if sys.platform == "darwin":
        return home / "Library" / ("Caches" if kind == "cache" else "Application Support") / _NAME
    variable, fallback = ("XDG_CACHE_HOME", ".cache") if kind == "cache" else ("XDG_DATA_HOME", ".local/share")
    return Path(os.environ.get(variable) or home / fallback) / _NAME


def cannot_save(what: str, path: Path, error: OSError) -> RecoverMeshError:
    """The error `unwritable` for the user's data `what` that could not be written to `path`."""
    return RecoverMeshError(
        "unwritable",
        f"{what} cannot be saved in {path.parent} ({error.strerror or error}).",
        f"Make room there, or name another folder in the environment variable {HOME_VARIABLE}.",
    )


def _ensure(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecoverMeshError(
            "unwritable",
            f"The folder {folder} cannot be created ({error.strerror}).",
            f"Make it writable, or name another folder in the environment variable {HOME_VARIABLE}.",
        ) from None
    return folder
