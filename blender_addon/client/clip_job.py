# SPDX-License-Identifier: GPL-3.0-or-later
"""One click on Recover Mesh for a clip, from starting the backend to the final motions.  No bpy here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ..scene.records import Body
from . import client as wire
from .backend_job import Ended, Progress, Recovery
from .session import Session

__all__ = ["ClipRecovery", "Ended", "Found", "Progress", "Rows", "Started"]

STAGES = {
    "queued": "Waiting for the backend",
    "loading": "Loading the model",
    "decode": "Reading the clip",
    "detect": "Finding people",
    "fit": "Fitting bodies",
    "refine": "Smoothing the whole clip",
}


@dataclass(frozen=True)
class Started:
    """What the clip is (the protocol's `clip`), and the body that its people wear."""

    header: dict[str, Any]
    body: Body


@dataclass(frozen=True)
class Rows:
    """Some frames are done."""

    chunk: wire.Chunk


@dataclass(frozen=True)
class Found:
    """Who is in the clip (arrays of the protocol's `people`)."""

    arrays: dict[str, Any]


class ClipRecovery(Recovery):
    """Starts in the constructor.  file: the job file."""

    def __init__(
        self, session: Session, file: str, *, python: str, folder: str, device: str = "auto", model: str
    ) -> None:
        super().__init__(session, python=python, folder=folder, device=device, model=model)
        self._file = file
        self._label = os.path.basename(file)
        self._client: wire.Client | None = None
        self.start()

    def _work(self, client: wire.Client) -> Ended:
        self._client = client
        return self._follow(client.recover_clip(self._file))

    def _take(self, event: Any) -> None:
        if isinstance(event, wire.Progress):
            self._tell(event.fraction, _words(event))
        elif isinstance(event, wire.Clip):
            self._label = os.path.basename(event.header["source"])
            self.events.put(Started(event.header, self._session.body(self._client, event.header["body"])))
        elif isinstance(event, wire.Chunk):
            self.events.put(Rows(event))
        elif isinstance(event, wire.People):
            self.events.put(Found(event.arrays))


def _words(event: wire.Progress) -> str:
    words = STAGES.get(event.stage, event.stage.capitalize())
    if event.total:
        words += f", frame {event.done} of {event.total}"
    if event.rate > 0:
        words += f", {event.rate:.1f} fps"
        words += f", {_time(event.left)} left"
    return words


def _time(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
