"""Atomic writing: a file is either complete or absent."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.errors import RecoverMeshError

_PREFIX = ".part-"


def writing_error(path: Path, error: OSError) -> RecoverMeshError:
    """The error for a `path` that could not be written: `disk_full` or `unwritable`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return RecoverMeshError(
            "disk_full",
            f"There is no room left to write {path.name} in {path.parent}.",
            "Free some space or choose a folder on another disk, then try again.",
        )
    return RecoverMeshError(
        "unwritable",
        f"Cannot write {path.name} in {path.parent} ({error.strerror or error}).",
        "Choose a folder that you may write to.",
    )


@contextmanager
def atomic_path(path: Path, failed: Callable[[Path, OSError], RecoverMeshError] = writing_error) -> Iterator[Path]:
    """A temporary path with the name of `path`; the file there becomes `path` when the block succeeds.

    The temporary folder is next to `path`, whose own folder is created.  If the block fails, nothing is left behind and
    an earlier `path` stays as it was.  A killed process leaves its temporary folder, which `*.suffix` patterns do not
    match.  Several processes may write the same `path` at once.  An OSError is raised as `failed(path, error)`.
    """
    folder: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=path.parent)
        yield Path(folder, path.name)
        Path(folder, path.name).replace(path)
    except OSError as error:
        raise failed(path, error) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Delete the temporary folders that killed processes left in `folder`.  No other process may write there."""
    for left in folder.glob(_PREFIX + "*"):
        shutil.rmtree(left, ignore_errors=True)
