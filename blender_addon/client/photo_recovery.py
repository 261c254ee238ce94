# SPDX-License-Identifier: GPL-3.0-or-later
"""One click on Recover Mesh for photos, from starting the backend to the last result.  No bpy here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from ..scene.records import Body, Photo, photo_from_wire
from . import events as wire
from .client import Client
from .recovery import STAGES, JobEnded, Recovery
from .session import Session

BATCH = 8  # encoded images in one request


@dataclass(frozen=True)
class Source:
    """A photo to recover.  content: a path or an encoded image.  image: its name where it is an image in Blender."""

    label: str
    content: str | bytes
    image: str = ""


@dataclass(frozen=True)
class Recovered:
    """One source is finished.  `body` is None where no people were found."""

    source: Source
    photo: Photo
    body: Body | None


@dataclass(frozen=True)
class Failed:
    """One source could not be used; the job continues with the others."""

    source: Source
    error: UserError


class PhotoRecovery(Recovery):
    """The recovery of photos; the constructor starts it."""

    def __init__(
        self,
        session: Session,
        sources: Sequence[Source],
        *,
        python: str,
        folder: str,
        device: str = "auto",
        model: str = "keypoint-fit",
        people: str = "all",
    ) -> None:
        super().__init__(session, python=python, folder=folder, device=device, model=model)
        self._sources = list(sources)
        self._people = people
        self._first, self._batch = 0, self._sources
        self._thread.start()

    def _work(self, client: Client) -> JobEnded:
        inline = any(isinstance(source.content, bytes) for source in self._sources)
        size = BATCH if inline else len(self._sources)
        for first in range(0, len(self._sources), size):
            self._first, self._batch = first, self._sources[first : first + size]
            job = client.recover([source.content for source in self._batch], self._model, self._people)
            ended = self._relay_events(job)
            if ended.cancelled or ended.error is not None:
                return ended
        return JobEnded()

    def _handle_event(self, event: Any) -> None:
        batch = self._batch
        if isinstance(event, wire.Progress):
            done = (self._first + event.fraction * len(batch)) / len(self._sources)
            which = batch[min(event.done, len(batch) - 1)].label
            self._report_progress(done, f"{STAGES.get(event.stage, event.stage.capitalize())}: {which}")
        elif isinstance(event, wire.Result):
            self.events.put(self._recovered(batch[event.index], event))
        elif isinstance(event, wire.SourceFailed):
            self.events.put(Failed(batch[event.index], UserError(event.message, event.hint)))

    def _recovered(self, source: Source, event: wire.Result) -> Recovered:
        photo = photo_from_wire(vars(event), event.arrays, source.label)
        body = self._session.body(self._client, photo.body) if photo.people else None
        return Recovered(source, photo, body)
