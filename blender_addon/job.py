# SPDX-License-Identifier: GPL-3.0-or-later
"""One click on Recover Mesh, from starting the backend to the last result.  No bpy here.

A thread does everything that waits; Blender's main thread takes what has happened out of `events`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from . import client as wire
from .errors import UserError
from .scene.records import Body, Photo, photo_from_wire
from .session import Session

STAGES = {
    "queued": "Waiting for the backend",
    "loading": "Loading the model",
    "decode": "Reading the photo",
    "detect": "Finding people",
    "fit": "Fitting bodies",
}
BATCH = 8  # images that one request may carry


@dataclass(frozen=True)
class Source:
    """A picture to recover:

    `content` is a path or an encoded image; `image` names it where it lives in Blender.
    """

    label: str
    content: str | bytes
    image: str = ""


@dataclass(frozen=True)
class Progress:
    fraction: float
    text: str


@dataclass(frozen=True)
class Recovered:
    """One source is done.  `body` is None where nobody was found."""

    source: Source
    photo: Photo
    body: Body | None


@dataclass(frozen=True)
class Failed:
    """One source could not be used; the job goes on."""

    source: Source
    error: UserError


@dataclass(frozen=True)
class Ended:
    """The last event.  `error` says why, where the job could not go on."""

    cancelled: bool = False
    error: UserError | None = None


class RecoveryJob:
    """Starts in the constructor.  `cancel` never waits; `Ended` comes always, exactly once."""

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
        self.events: queue.SimpleQueue[Progress | Recovered | Failed | Ended] = queue.SimpleQueue()
        self.progress = Progress(0.0, "Starting the backend")
        self._session = session
        self._sources = list(sources)
        self._settings = (python, folder, device)
        self._model, self._people = model, people
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recover-mesh job", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        self._cancel.set()

    @property
    def cancelling(self) -> bool:
        return self._cancel.is_set()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            ended = self._work()
        except UserError as error:
            ended = Ended(error=error)
        except wire.ClientError as error:
            ended = Ended(error=self._session.explain(error.code, error.message, error.hint))
        except Exception as error:  # whatever it is, the artist must learn that the job is over
            ended = Ended(
                error=UserError(f"Recover Mesh failed ({type(error).__name__}: {error}).", "Try again.")
            )
        self.events.put(ended)

    def _work(self) -> Ended:
        client = self._session.connect(*self._settings, self._cancel.is_set)
        if client is None or self._cancel.is_set():
            return Ended(cancelled=True)
        # before the first photo: later the backend would be busy with the next one
        if not self._fetch_body(client):
            return Ended(cancelled=True)
        inline = any(isinstance(source.content, bytes) for source in self._sources)
        size = BATCH if inline else len(self._sources)
        for first in range(0, len(self._sources), size):
            ended = self._work_batch(client, first, self._sources[first : first + size])
            if ended.cancelled or ended.error is not None:
                return ended
        return Ended()

    def _fetch_body(self, client: wire.Client) -> bool:
        """Have the session hold the model's body.  False when cancelled."""
        name = self._session.body_of_model(self._model)
        if name is None:
            return True  # the backend will say what is wrong with this model
        self._tell(0.0, STAGES["loading"])
        answer: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

        def fetch() -> None:
            try:
                self._session.body(client, name)
                answer.put(None)
            except Exception as error:
                answer.put(error)

        threading.Thread(target=fetch, name="recover-mesh body", daemon=True).start()
        while not self._cancel.is_set():
            try:
                error = answer.get(timeout=0.05)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            return True
        return False

    def _work_batch(self, client: wire.Client, first: int, batch: list[Source]) -> Ended:
        job = client.recover([source.content for source in batch], self._model, self._people)
        told = False
        while True:
            if self._cancel.is_set() and not told:
                told = True
                job.cancel()
            try:
                event = job.events.get(timeout=0.05)
            except queue.Empty:
                continue
            if isinstance(event, wire.Progress):
                done = (first + event.fraction * len(batch)) / len(self._sources)
                which = batch[min(event.done, len(batch) - 1)].label
                self._tell(done, f"{STAGES.get(event.stage, event.stage.capitalize())}: {which}")
            elif isinstance(event, wire.Result):
                self.events.put(self._recovered(client, batch[event.index], event))
            elif isinstance(event, wire.SourceFailed):
                self.events.put(Failed(batch[event.index], UserError(event.message, event.hint)))
            elif isinstance(event, wire.Error):
                return Ended(error=self._session.explain(event.code, event.message, event.hint))
            else:
                return Ended(cancelled=isinstance(event, wire.Cancelled))

    def _recovered(self, client: wire.Client, source: Source, event: wire.Result) -> Recovered:
        photo = photo_from_wire(vars(event), event.arrays, source.label)
        return Recovered(source, photo, self._session.body(client, photo.body) if photo.people else None)

    def _tell(self, fraction: float, text: str) -> None:
        self.progress = Progress(fraction, text)
        self.events.put(self.progress)
