# SPDX-License-Identifier: GPL-3.0-or-later
"""One click on Recover Mesh for a clip, from starting the backend to the final motions.  No bpy here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ..scene.records import Body
from . import client as wire
from .recovery import JobEnded, Progress, Recovery
from .session import Session

__all__ = ["ChunkReady", "ClipRecovery", "ClipStarted", "JobEnded", "PeopleFound", "Progress"]

STAGES = {
    "queued": "Waiting for the backend",
    "loading": "Loading the model",
    "decode": "Reading the clip",
    "detect": "Finding people",
    "fit": "Fitting bodies",
    "refine": "Smoothing the whole clip",
}


@dataclass(frozen=True)
class ClipStarted:
    """The fields of the protocol's `clip`, and the body model of its people."""

    header: dict[str, Any]
    body: Body


@dataclass(frozen=True)
class ChunkReady:
    """Some frames are finished."""

    chunk: wire.Chunk


@dataclass(frozen=True)
class PeopleFound:
    """The people of the clip: arrays of the protocol's `people`."""

    arrays: dict[str, Any]


class ClipRecovery(Recovery):
    """The recovery of one clip; the constructor starts it.  file: the job file."""

    def __init__(
        self, session: Session, file: str, *, python: str, folder: str, device: str = "auto", model: str
    ) -> None:
        super().__init__(session, python=python, folder=folder, device=device, model=model)
        self._file = file
        self._label = os.path.basename(file)
        self.start()

    def _work(self, client: wire.Client) -> JobEnded:
        self._client = client
        return self._relay_events(client.recover_clip(self._file))

    def _handle_event(self, event: Any) -> None:
        if isinstance(event, wire.Progress):
            self._report_progress(event.fraction, _progress_text(event))
        elif isinstance(event, wire.Clip):
            self._label = os.path.basename(event.header["source"])
            self.events.put(ClipStarted(event.header, self._session.body(self._client, event.header["body"])))
        elif isinstance(event, wire.Chunk):
            self.events.put(ChunkReady(event))
        elif isinstance(event, wire.People):
            self.events.put(PeopleFound(event.arrays))


def _progress_text(event: wire.Progress) -> str:
    text = STAGES.get(event.stage, event.stage.capitalize())
    if event.total:
        text += f", frame {event.done} of {event.total}"
    if event.rate > 0:
        text += f", {event.rate:.1f} fps"
        text += f", {_format_seconds(event.left)} left"
    return text


def _format_seconds(seconds: float) -> str:
    total = round(seconds)
    return f"{total // 60}:{total % 60:02d}"
