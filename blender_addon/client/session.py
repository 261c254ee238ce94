# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend process and the connection to it, kept between recoveries.  No bpy here."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

from ..backend.process import BackendProcess
from ..errors import UserError
from ..scene.records import Body, body_from_wire
from .client import Client
from .events import ClientError

LOG_NAME = "backend.log"


class Session:
    """One backend process, its client, and the body models fetched so far.  Called from a recovery's thread."""

    def __init__(self) -> None:
        self.extra_args: Sequence[str] = ()  # more arguments for the backend
        self.models: list[dict] = []  # of the last backend's `welcome`
        self.device = ""
        self._lock = threading.Lock()
        self.process: BackendProcess | None = None
        self._client: Client | None = None
        self._bodies: dict[str, Body] = {}

    @property
    def running(self) -> bool:
        process, client = self.process, self._client
        return process is not None and process.alive and client is not None and client.connected

    def connect(
        self, python: str, folder: str, device: str, cancelled: Callable[[], bool] = lambda: False
    ) -> Client | None:
        """A client of a running backend, which is started if none runs; None if cancelled.  Raises UserError."""
        with self._lock:
            old = self.process
            if self.running and old is not None and (old.python, old.device) == (python, device):
                return self._client
            self._close()
            process = BackendProcess(python, os.path.join(folder, LOG_NAME), device, self.extra_args)
            self.process = process
            if not process.start(cancelled):
                self._close()
                return None
            client = Client(name="Recover Mesh in Blender")
            try:
                welcome = client.connect(process.endpoint, process.token)
            except ClientError as error:
                self._close()
                raise UserError(error.message, error.hint) from None
            self._client = client
            self.models, self.device = list(welcome.models), welcome.device
            return client

    def body(self, client: Client, name: str) -> Body:
        """The body model of a name, fetched once.  Raises ClientError."""
        if name not in self._bodies:
            got = client.get_body(name)
            self._bodies[name] = body_from_wire(vars(got), got.arrays)
        return self._bodies[name]

    def body_name_for(self, model: str) -> str | None:
        """Name of the body of a model's results; None if the backend has no such model ready."""
        return next((m["body"] for m in self.models if m["name"] == model and m["ready"]), None)

    def to_user_error(self, code: str, message: str, hint: str) -> UserError:
        """The error to show for a ClientError; where the backend has exited, with its exit code and log."""
        process = self.process
        if code == "backend_lost" and process is not None and process.exit_reason():
            return UserError(
                f"The backend ended in the middle of the job ({process.exit_reason()}).",
                f"Click Recover Mesh again: it is restarted. Its log is {process.log_path}.",
            )
        return UserError(message, hint)

    def close(self) -> None:
        """Stop the backend.  Idempotent."""
        process = self.process
        if process is not None and not process.endpoint:
            process.stop()  # a start in progress fails then and releases the lock
        with self._lock:
            self._close()

    def _close(self) -> None:
        client, process = self._client, self.process
        self._client = self.process = None
        self._bodies.clear()  # another backend may have another body of the same name
        if client is not None:
            client.close()
        if process is not None:
            process.stop()
