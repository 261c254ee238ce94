"""A hash of a clip's content, by which a moved or renamed clip is recognised."""

from __future__ import annotations

import hashlib
from pathlib import Path

from backend.errors import BadInput
from backend.media.image_sequence import is_sequence, sequence_files

_SAMPLE = 1 << 20  # bytes


def fingerprint(source: str | Path) -> str:
    """32 hex digits: SHA-256 of the size and of samples of the content; the path of the clip does not count.

    Of a sequence: names and sizes of all files, content of the first and last.  Raises BadInput: file_missing,
    unreadable.
    """
    path = Path(source)
    try:
        if is_sequence(path):
            digest = hashlib.sha256()
            files = sequence_files(path)
            for _, file in files:
                digest.update(f"{file.name} {file.stat().st_size}\n".encode("utf-8", "surrogateescape"))
            for _, file in (files[0], files[-1]):
                digest.update(file.read_bytes())
            return digest.hexdigest()[:32]
        size = path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with path.open("rb") as content:
            for offset in (0, max(size // 2 - _SAMPLE // 2, 0), max(size - _SAMPLE, 0)):
                content.seek(offset)
                digest.update(content.read(_SAMPLE))
        return digest.hexdigest()[:32]
    except FileNotFoundError:
        raise BadInput("file_missing", f"There is no file {path}.", "Choose the clip again.") from None
    except OSError as error:
        raise BadInput("unreadable", f"{path} cannot be read ({error.strerror}).", "Check its permissions.") from None
