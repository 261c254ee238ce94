# SPDX-License-Identifier: GPL-3.0-or-later
"""One click on Recover Mesh for a clip, from starting the backend to the final motions.  No bpy here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ..scene.records import Body
from . import events as wire
from .client import Client
from .recovery import STAGES, JobEnded, Recovery
from .session import Session

CLIP_STAGES = STAGES | {"decode": "Reading the clip", "refine": "Smoothing the whole clip"}


@dataclass(frozen=True)
class ClipStarted:
    """The fields of the protocol's `clip`, and the body model of its people."""

    header: dict[str, Any]
    body: Body


class ClipRecovery(Recovery):
    """The recovery of one clip; the constructor starts it.  file: the job file.  Its events also are Chunk, People."""

    def __init__(
        self, session: Session, file: str, *, python: str, folder: str, device: str = "auto", model: str
    ) -> None:
        super().__init__(session, python=python, folder=folder, device=device, model=model)
        self._file = file
        self._label = os.path.basename(file)
        self._thread.start()

    def _work(self, client: Client) -> JobEnded:
        return self._relay_events(client.recover_clip(self._file))

    def _handle_event(self, event: Any) -> None:
        if isinstance(event, wire.Progress):
            self._report_progress(event.fraction, _progress_text(event))
        elif isinstance(event, wire.Clip):
            self._label = os.path.basename(event.header["source"])
            self.events.put(ClipStarted(event.header, self._session.body(self._client, event.header["body"])))
        elif isinstance(event, wire.Chunk | wire.People):
            self.events.put(event)


def _progress_text(event: wire.Progress) -> str:
    text = CLIP_STAGES.get(event.stage, event.stage.capitalize())
    if event.total:
        text += f", frame {event.done} of {event.total}"
    if event.rate > 0:
        minutes, seconds = divmod(round(event.left), 60)
        text += f", {event.rate:.1f} fps, {minutes}:{seconds:02d} left"
    return text
