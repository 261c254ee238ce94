"""Names of result files, and writing them so that a file is either whole or absent."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backend.errors import RecoverMeshError

_CLAIMS = (
    ".recover-mesh"  # one small text per base name in the output folder: the source that the name belongs to
)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`, with the same ending; renames it to `path` when the block succeeds.

    When the block fails nothing is left behind, and a former `path` stays as it was.
    Raises RecoverMeshError `disk_full` or `unwritable`.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".part-", suffix=path.suffix, dir=path.parent)
        temporary = Path(name)
        os.close(handle)
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        temporary.replace(path)
    except OSError as error:
        raise writing_error(path, error) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def writing_error(path: Path, error: OSError) -> RecoverMeshError:
    """The error to show when `path` could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return RecoverMeshError(
            "disk_full",
            f"There is no room left to write {path.name} in {path.parent}.",
            "Free some space or choose a folder on another disk, then export again.",
        )
    return RecoverMeshError(
        "unwritable",
        f"Cannot write {path.name} in {path.parent} ({error.strerror or error}).",
        "Choose a folder that you may write to.",
    )


def claim_stem(out_dir: Path, source: str, index: int) -> str:
    """Base name for the files of one source: its own stem; `-2`, `-3`, … where another source has that name already.

    The claim is remembered in the folder, so the same source gets the same name (and overwrites its own files) in a
    later run, and two photos of one name from different folders never overwrite each other, not even from two
    processes.  A source without a path (`""`) is named after its index.
    """
    stem = Path(source).stem if source else f"image{index:04d}"
    owner = os.path.abspath(source) if source else stem  # noqa: PTH100  (resolve() would follow links to equal files)
    claims = out_dir / _CLAIMS
    try:
        claims.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            name = stem if number == 1 else f"{stem}-{number}"
            claim = claims / f"{name}.txt"
            try:
                with claim.open("x", encoding="utf-8", errors="surrogateescape") as file:
                    file.write(owner)
                return name
            except FileExistsError:
                if claim.read_text(encoding="utf-8", errors="surrogateescape") == owner:
                    return name
            number += 1
    except OSError as error:
        raise writing_error(out_dir / stem, error) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
