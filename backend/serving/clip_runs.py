"""The clips that a worker has open; it does one step of one clip at a time."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backend import protocol
from backend.clips.job_file import ClipJobFile
from backend.errors import Cancelled, RecoverMeshError
from backend.serving.clip_messages import chunk_message, clip_message, people_message
from backend.serving.messages import error_fields
from backend.structures import ClipChunk, ClipProgress

log = logging.getLogger("recover-mesh.worker")


def load_callable(path: str) -> Callable[..., Any]:
    """`package.module:name` -> the object of that name."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


class ClipRuns:
    """Open runs by the clip's key.  A run that is opened again resumes from its journal.

    factory: `module:callable`, which makes a `ClipRun` from a job and a recoverer.  recoverer: model name -> Recoverer.
    emit: takes a header and frames for the server, see `backend.serving.worker`.
    """

    def __init__(self, factory: str, recoverer: Callable[[str], Any], emit: Callable[..., None]) -> None:
        self._factory = factory
        self._recoverer = recoverer
        self._emit = emit
        self._runs: dict[str, Any] = {}
        self._sent: dict[str, int] = {}  # number of chunks

    def forget(self, clip: str) -> None:
        """Close a clip.  Its journal stays."""
        run = self._runs.pop(clip, None)
        self._sent.pop(clip, None)
        if run is not None:
            run.close()

    def step(self, task: dict[str, Any], is_cancelled: Callable[[int], bool]) -> None:
        """Do one step of a clip and emit its records and its end; emits errors too, never raises them."""
        number, clip = task["task"], task["clip"]

        def on_progress(progress: ClipProgress) -> None:
            if is_cancelled(number):
                raise Cancelled
            numbers = asdict(progress)
            self._emit({"event": "stage", "task": number, "stage": numbers.pop("stage"), "numbers": numbers})

        try:
            run = self._runs.get(clip)
            if run is None:
                on_progress(ClipProgress("loading", 0.0, 0, 0))
                job = ClipJobFile.load(Path(task["file"]))
                run = self._runs[clip] = load_callable(self._factory)(job, self._recoverer(job.model))
                self._sent[clip] = 0
                self._part(task, "clip", clip_message(task["job"], run))
            for record in run.advance(on_progress):
                if isinstance(record, ClipChunk):
                    index, self._sent[clip] = self._sent[clip], self._sent[clip] + 1
                    self._part(task, "chunk", chunk_message(task["job"], index, record), index)
                else:
                    self._part(task, "people", people_message(task["job"], record))
            over = run.over
        except Cancelled:
            self.forget(clip)
            self._emit({"event": "given_up", "task": number})
        except Exception as error:
            if not isinstance(error, RecoverMeshError):
                log.exception("a clip failed")
            self.forget(clip)
            self._emit({"event": "job_failed", "task": number, **error_fields(error)})
        else:
            if over:
                self.forget(clip)
            self._emit({"event": "step", "task": number, "over": over})

    def _part(self, task: dict[str, Any], kind: str, message: Any, chunk: int | None = None) -> None:
        fields, arrays = message
        frames = protocol.encode(kind, task["request"], arrays, **fields)
        self._emit({"event": "part", "task": task["task"], "chunk": chunk}, frames)
