# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of photo and clip recoveries: thread, cancelling, error messages.  No bpy here.

The thread does everything that waits; Blender's main thread takes its events out of `events`.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from . import events as wire
from .client import Client, JobHandle
from .session import Session

STAGES = {
    "queued": "Waiting for the backend",
    "loading": "Loading the model",
    "decode": "Reading the photo",
    "detect": "Finding people",
    "fit": "Fitting bodies",
}


@dataclass(frozen=True)
class Progress:
    fraction: float
    text: str


@dataclass(frozen=True)
class JobEnded:
    """The last event.  error: why the recovery failed, if it did."""

    cancelled: bool = False
    error: UserError | None = None


class Recovery:
    """One click on Recover Mesh.  `cancel` never waits.  The last event is always one `JobEnded`."""

    def __init__(self, session: Session, *, python: str, folder: str, device: str, model: str) -> None:
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.progress = Progress(0.0, "Starting the backend")
        self._session = session
        self._settings = (python, folder, device)
        self._model = model
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recover-mesh job", daemon=True)

    def cancel(self) -> None:
        self._cancel.set()

    @property
    def cancelling(self) -> bool:
        return self._cancel.is_set()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            ended = self._connect_and_work()
        except UserError as error:
            ended = JobEnded(error=error)
        except wire.ClientError as error:
            ended = JobEnded(error=self._session.to_user_error(error.code, error.message, error.hint))
        except Exception as error:  # the panel must show the end, whatever the reason
            ended = JobEnded(error=UserError(f"Recover Mesh failed ({type(error).__name__}: {error}).", "Try again."))
        self.events.put(ended)

    def _connect_and_work(self) -> JobEnded:
        client = self._session.connect(*self._settings, self._cancel.is_set)
        if client is None or self._cancel.is_set():
            return JobEnded(cancelled=True)
        # before the first photo: later the backend would be busy with the next one
        if not self._fetch_body(client):
            return JobEnded(cancelled=True)
        self._client = client
        return self._work(client)

    def _work(self, client: Client) -> JobEnded:
        """How the jobs of this recovery ended, after running them; soon after `cancel`."""
        raise NotImplementedError

    def _fetch_body(self, client: Client) -> bool:
        """Whether the model's body was fetched into the session; False if cancelled.  Raises ClientError."""
        name = self._session.body_name_for(self._model)
        if name is None:
            return True  # the job's error will say what is wrong with this model
        self._report_progress(0.0, STAGES["loading"])
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

    def _relay_events(self, job: JobHandle) -> JobEnded:
        """How a job ended, after its events were handled."""
        cancel_sent = False
        while True:
            if self._cancel.is_set() and not cancel_sent:
                cancel_sent = True
                job.cancel()
            try:
                event = job.events.get(timeout=0.05)
            except queue.Empty:
                continue
            if isinstance(event, wire.Error):
                return JobEnded(error=self._session.to_user_error(event.code, event.message, event.hint))
            if isinstance(event, wire.FINAL_EVENTS):
                return JobEnded(cancelled=isinstance(event, wire.Cancelled))
            self._handle_event(event)

    def _handle_event(self, event: Any) -> None:
        """Handle one event that is not final."""
        raise NotImplementedError

    def _report_progress(self, fraction: float, text: str) -> None:
        self.progress = Progress(fraction, text)
        self.events.put(self.progress)
