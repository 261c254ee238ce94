"""The journal: every finished chunk of a clip on disk, from which an interrupted job resumes.

    OUT/journal/journal.json        what the chunks depend on: clip, settings, version
    OUT/journal/chunk-000000.npz    detections and bodies of a chunk, and the reader's state after it

A chunk is written to a temporary file, flushed to the disk and renamed: it is complete or absent.  Chunks are used up
to the first that is missing or damaged; the later ones are made again.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from backend.atomic import atomic_path
from backend.errors import BadInput, RecoverMeshError

VERSION = 3  # raise it where chunks of an older release must not be continued
_HEADER = "journal.json"
Arrays = dict[str, np.ndarray]


class Journal:
    """One clip's chunks.  Only one process may write a journal at a time (see `JournalLock`)."""

    def __init__(self, out: Path, key: str, fingerprint: str) -> None:
        """Open or begin.  key: `ClipJobFile.clip_key`.  fingerprint: of the clip's content.

        Chunks of other settings, of another version or of another clip are moved to `journal-old`, never mixed in.
        Raises RecoverMeshError `disk_full`, `unwritable`.
        """
        self.folder = out / "journal"
        self._about = {"version": VERSION, "key": key, "fingerprint": fingerprint}
        self.set_aside = False  # chunks were moved to `journal-old`
        header = self._read_header()
        if header != self._about:
            if header is not None or any(self.folder.glob("chunk-*.npz")):
                self._set_aside(out)
            with atomic_path(self.folder / _HEADER) as temporary:
                temporary.write_text(json.dumps(self._about), encoding="utf-8")
        self.count = self._count_complete_chunks()
        self.resumed = self.count  # chunks found on opening

    def _read_header(self) -> dict[str, Any] | None:
        try:
            content = json.loads((self.folder / _HEADER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def _set_aside(self, out: Path) -> None:
        old = out / "journal-old"
        try:
            shutil.rmtree(old, ignore_errors=True)
            self.folder.rename(old)
        except OSError as error:
            raise RecoverMeshError(
                "unwritable",
                f"The journal of another job in {self.folder} cannot be moved away ({error.strerror}).",
                "Choose another folder for the results.",
            ) from None
        self.set_aside = True

    def _path(self, index: int) -> Path:
        return self.folder / f"chunk-{index:06d}.npz"

    def _count_complete_chunks(self) -> int:
        """Number of complete chunks from the first on.  A crash can damage only the last: only that one is read."""
        count = 0
        while self._path(count).is_file():
            count += 1
        while count and self._try(count - 1) is None:
            count -= 1
        return count

    def _try(self, index: int) -> Arrays | None:
        try:
            with np.load(self._path(index), allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return None

    def read(self, index: int) -> Arrays:
        """The arrays of one chunk.  Raises BadInput `bad_journal` where its file is damaged."""
        chunk = self._try(index)
        if chunk is None:
            raise BadInput(
                "bad_journal",
                f"{self._path(index)} is damaged.",
                "Delete it and the later chunks: their frames are recovered again.",
            )
        return chunk

    def __iter__(self) -> Iterator[Arrays]:
        return (self.read(index) for index in range(self.count))

    def append(self, chunk: Arrays) -> None:
        """Add a chunk; on return it survives a power failure.  Raises RecoverMeshError `disk_full`, `unwritable`."""
        path = self._path(self.count)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **chunk)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(self.folder)
        self.count += 1


class JournalLock:
    """The lock of a job's folder, held by the process that works on it; free once that process has ended."""

    def __init__(self, out: Path) -> None:
        """Raises BadInput `job_running` where another process holds it, RecoverMeshError `unwritable`."""
        # no fallback to a soft lock: that one remains when its process is killed
        self._lock = FileLock(out / "journal.lock", blocking=False, thread_local=False, fallback_to_soft=False)
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise BadInput(
                "job_running",
                f"Another process works on {out} already.",
                "Wait for it, cancel it, or choose another folder.",
            ) from None
        except OSError as error:
            raise RecoverMeshError(
                "unwritable",
                f"Cannot write to {out} ({error.strerror or error}).",
                "Choose a folder that you may write to.",
            ) from None

    def release(self) -> None:
        self._lock.release()


def _sync_folder(folder: Path) -> None:
    """Flush a folder: without that a power failure can undo a rename.  Windows does it by itself."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
