"""Writing a file so that it is either whole or absent."""

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
    """The error to show when `path` could not be written: `disk_full` or `unwritable`."""
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
    """A path of the same name in a temporary folder beside `path`; it is renamed to `path` when the block succeeds.

    When the block fails nothing is left behind, and a former `path` stays as it was.  A killed process leaves its
    temporary folder, which no listing of files finds.  Several processes may write the same `path` at once.
    Makes the folder of `path`.  Raises what `failed` makes of an OSError.
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
    """Delete what killed processes have left of `atomic_path` in a folder that nobody else writes to."""
    for left in folder.glob(_PREFIX + "*"):
        shutil.rmtree(left, ignore_errors=True)
