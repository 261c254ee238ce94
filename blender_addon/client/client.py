"""The ZeroMQ client.  A background thread owns the socket; the other threads exchange messages with it by queues.

No bpy here: the operators take events out of `JobHandle.events` on Blender's main thread and build the scene.

    client = Client()
    client.connect(endpoint, token)
    job = client.recover(["/photos/a.jpg"], model="keypoint-fit")
    while not isinstance(event := job.events.get(), FINAL_EVENTS):
        ...
    client.close()
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import uuid
from collections.abc import Sequence
from typing import Any

from .. import protocol
from .events import (
    FINAL_EVENTS,
    Body,
    Chunk,
    ClientError,
    CurveKeys,
    Error,
    Event,
    EventQueue,
    Result,
    Welcome,
    parse_event,
)
from .link import Link, check_endpoint


class JobHandle:
    """One job of the client: a `recover` or a `recover_clip`.

    `events` receives the job's events in order, the last one is exactly one of FINAL_EVENTS.  Taking a Result or a
    Chunk out acknowledges it: the backend computes at most protocol.RESULT_WINDOW results in advance.
    """

    def __init__(self, client: Client, sources: Sequence[str | bytes]) -> None:
        self.id = uuid.uuid4().hex
        self.sources = tuple(sources)
        self.events: EventQueue = EventQueue(self._acknowledge)
        self._client = client
        self._lock = threading.Lock()
        self.finished = False  # the final event has arrived; it may still be in `events`

    def cancel(self) -> None:
        """Ask the backend to stop; `Cancelled` follows.  Idempotent, never waits."""
        if not self.finished:
            self._client._send(protocol.encode("cancel", self.id, job=self.id))

    def _acknowledge(self, event: Event) -> None:
        if isinstance(event, Result | Chunk) and not self.finished:
            self._client._send(protocol.encode("ack", self.id, job=self.id, index=event.index))

    def _put(self, event: Event) -> None:
        with self._lock:
            if self.finished:
                return
            self.finished = isinstance(event, FINAL_EVENTS)
            self.events.put(event)


class Client:
    """A connection to one backend.  Every method may be called from any thread.

    allow_remote: also connect to other machines.  Inside Blender pass `bpy.app.online_access`.
    """

    def __init__(self, name: str = "recover-mesh client", allow_remote: bool = False) -> None:
        self._name = name
        self._allow_remote = allow_remote
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._jobs: dict[str, JobHandle] = {}
        self._pending_requests: dict[str, queue.SimpleQueue[Any]] = {}  # by request id
        self.welcome: Welcome | None = None

    @property
    def connected(self) -> bool:
        link = self._link
        return link is not None and link.lost is None and self.welcome is not None

    def connect(self, endpoint: str, token: str, timeout: float = 10.0, curve: CurveKeys | None = None) -> Welcome:
        """Connect and send `hello`; returns the backend's `welcome`.

        Raises ClientError: not_loopback, bad_endpoint, no_answer, bad_token, version, busy, or connected.
        """
        check_endpoint(endpoint, self._allow_remote)
        with self._lock:
            if self._link is not None:
                raise ClientError("connected", "This client is connected already.", "Call close() first.")
            self._link = Link(endpoint, curve, self._on_message, lambda *lost: self._fail_jobs(Error(*lost)))
        try:
            header, _ = self._ask("hello", timeout, token=token, client=self._name)
        except BaseException:
            self.close()
            raise
        self.welcome = Welcome(header["server"], header["device"], header["models"], header["bodies"])
        return self.welcome

    def get_body(self, name: str, timeout: float = 60.0) -> Body:
        """The backend's body model of a name.  Raises ClientError: unknown_body, no_answer, backend_lost, …"""
        header, arrays = self._ask("get_body", timeout, body=name)
        copies = {key: array.copy() for key, array in arrays.items()}
        return Body(header["name"], header["license"], tuple(header["joint_names"]), copies)

    def recover(
        self, sources: Sequence[str | bytes], model: str, people: str | int = "all", focal_px: float = 0.0
    ) -> JobHandle:
        """The job for photos, started; does not wait for results.

        sources: paths (made absolute, unless remote backends are allowed) or encoded images, at most
        protocol.MAX_IMAGES of these.  people: `all`, `largest` or a number.  focal_px: focal length in pixels of the
        upright image, 0 if unknown.  Later errors come as events.  Raises ClientError: bad_source, too_large,
        malformed, not_connected, backend_lost.
        """
        job = JobHandle(self, sources)
        paths, images = self._paths_and_images(sources)
        fields = {"sources": paths, "model": model, "people": str(people), "focal_px": float(focal_px)}
        return self._start(job, _encode("These sources", "recover", job.id, images, job=job.id, **fields))

    def recover_clip(self, file: str) -> JobHandle:
        """The job for a clip, started or resumed; does not wait for results.  file: job file on the backend's machine.

        Events besides Progress: Clip, Chunk and People.  Raises ClientError: bad_source, not_connected, backend_lost.
        """
        paths, _ = self._paths_and_images([file])
        job = JobHandle(self, [file])
        return self._start(job, _encode("This job", "recover_clip", job.id, job=job.id, file=paths[0]))

    def _start(self, job: JobHandle, frames: Sequence[bytes | memoryview]) -> JobHandle:
        self._require_link()
        self._jobs[job.id] = job
        self._send(frames)
        link = self._link
        if link is None or link.lost is not None:  # lost in between: `_fail_jobs` did not see this job
            self._fail_jobs(Error(*(link.lost if link is not None and link.lost else _CLOSED)))
        return job

    def _paths_and_images(self, sources: Sequence[str | bytes]) -> tuple[list[str], dict[str, Any]]:
        import numpy as np

        images = [np.frombuffer(source, np.uint8) for source in sources if not isinstance(source, str)]
        if len(images) > protocol.MAX_IMAGES:
            raise ClientError(
                "too_large",
                f"{len(images)} images cannot be sent at once, at most {protocol.MAX_IMAGES}.",
                "Save them as files and give their paths, or start several jobs.",
            )
        paths = []
        for source in sources:
            path = source if isinstance(source, str) else ""
            if path and not self._allow_remote:
                path = os.path.abspath(path)
            try:
                path.encode()
            except UnicodeEncodeError:
                shown = path.encode("utf-8", "replace").decode()
                raise ClientError(
                    "bad_source", f"The file name {shown!r} is not valid Unicode.", "Rename the file."
                ) from None
            if isinstance(source, str) and not path:
                raise ClientError("bad_source", "A source is an empty path.", "Choose an image file.")
            paths.append(path)
        return paths, {f"image{k}": image for k, image in enumerate(images)}

    def shutdown(self) -> None:
        """Ask the backend to exit."""
        self._require_link()
        self._send(protocol.encode("shutdown"))

    def close(self) -> None:
        """Cancel the open jobs, which get Error `closed`, and end the thread and its socket.  Idempotent."""
        with self._lock:
            link, self._link = self._link, None
            self.welcome = None
        if link is None:
            return
        for job in list(self._jobs.values()):
            if not job.finished:
                with contextlib.suppress(ClientError):
                    link.send(protocol.encode("cancel", job.id, job=job.id))
        link.close()
        self._fail_jobs(Error(*_CLOSED))

    # ---- between the threads -----------------------------------------------------------------------------

    def _require_link(self) -> Link:
        link = self._link
        if link is None:
            raise ClientError("not_connected", "This client is not connected.", "Call connect() first.")
        if link.lost is not None:
            raise ClientError(*link.lost)
        return link

    def _send(self, frames: Sequence[bytes | memoryview]) -> None:
        link = self._link
        if link is not None:
            link.send(frames)

    def _ask(self, kind: str, timeout: float, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """(header, arrays) of the answer to a request, which is sent.  Raises ClientError."""
        request = uuid.uuid4().hex
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._pending_requests[request] = answers
        try:
            frames = _encode("This", kind, request, **fields)
            self._require_link().send(frames)
            link = self._require_link()  # lost in between: no answer would come
            answer = answers.get(timeout=timeout)
        except queue.Empty:
            raise ClientError(
                "no_answer",
                f"The backend at {link.endpoint} did not answer within {timeout:g} s.",
                "Is it running, and is it a Recover Mesh backend?",
            ) from None
        finally:
            del self._pending_requests[request]
        if isinstance(answer, ClientError):
            raise answer
        return answer

    def _fail_jobs(self, event: Error) -> None:
        for job in list(self._jobs.values()):
            job._put(event)
        self._jobs.clear()
        for answers in list(self._pending_requests.values()):
            answers.put(ClientError(event.code, event.message, event.hint))

    def _on_message(self, kind: str, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        """In the link's thread: hand a message to its request or its job."""
        answers = self._pending_requests.get(header["request"])
        if kind == "error" and answers is not None:
            answers.put(ClientError(header["code"], header["message"], header["hint"]))
        elif kind in ("welcome", "body"):
            if answers is not None:
                answers.put((header, arrays))
        elif kind == "error" and header["code"] == "hello_first":
            raise ClientError("backend_lost", "The backend has forgotten this client.", "Start the job again.")
        elif "job" in header:
            job = self._jobs.get(header["job"] or header["request"])
            event = None if job is None else parse_event(kind, header, arrays, len(job.sources))
            if job is not None and event is not None:
                job._put(event)
                if job.finished:
                    self._jobs.pop(job.id, None)


def _encode(what: str, kind: str, request: str, arrays: dict[str, Any] | None = None, **fields: Any) -> list:
    """The frames of a message.  what: it is, for the ClientError where the protocol does not allow it."""
    try:
        return protocol.encode(kind, request, arrays, **fields)
    except protocol.ProtocolError as error:
        raise ClientError(error.code, f"{what} cannot be sent: {error}.", "") from None


_CLOSED = ("closed", "The connection was closed.", "Connect again.")
