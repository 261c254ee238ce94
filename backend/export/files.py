"""Names of result files."""

from __future__ import annotations

import os
from pathlib import Path

from backend.atomic import writing_error

_CLAIMS = ".recover-mesh"  # one small text per base name in the output folder: the source that the name belongs to


def claim_stem(out_dir: Path, source: str, index: int) -> str:
    """Base name for the files of one source: its stem, with `-2`, `-3`, … where another source has that name already.

    The claim is stored in the folder: in a later run a source gets the same name and overwrites its own files, and
    photos of one name from different folders never overwrite each other, not even from two processes.  A source
    without a path (`""`) is named after its index.  Raises RecoverMeshError `disk_full`, `unwritable`.
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
