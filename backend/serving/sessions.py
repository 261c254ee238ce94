"""Clients whose `hello` was accepted, and sending to them without blocking."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import zmq

from backend.errors import RecoverMeshError
from backend.protocol import CLIENT_SILENCE_SECONDS, HEARTBEAT_SECONDS, encode

log = logging.getLogger("recover-mesh.server")
Frames = Sequence[bytes | memoryview]
MAX_SESSIONS = 32
MAX_OUTBOX = 64  # messages queued for a client that does not read; with more it is dropped
PROBE_SECONDS = 2.0 * HEARTBEAT_SECONDS


@dataclass
class Session:
    """One client, by its routing id."""

    id: bytes
    client: str
    last_seen: float
    last_probe: float = 0.0
    outbox: deque[Frames] = field(default_factory=deque)
    gone: str = ""  # the reason, once the client is gone


class Sessions:
    """The open sessions of a ROUTER socket with ROUTER_MANDATORY: sends to full or vanished peers fail visibly."""

    def __init__(self, socket: zmq.Socket) -> None:
        self._socket = socket
        self._sessions: dict[bytes, Session] = {}

    def get(self, client: bytes) -> Session | None:
        return self._sessions.get(client)

    def open(self, client: bytes, name: str) -> None:
        """Open a session.  Raises RecoverMeshError `busy` when there are too many clients."""
        if client not in self._sessions and len(self._sessions) >= MAX_SESSIONS:
            raise RecoverMeshError("busy", f"The backend serves {MAX_SESSIONS} clients already.", "Close one of them.")
        self._sessions.setdefault(client, Session(client, name, time.monotonic()))

    def reachable(self, client: bytes) -> bool:
        """Whether the client is connected and reads what is sent."""
        session = self._sessions.get(client)
        return session is not None and not session.gone and not session.outbox

    def waiting(self) -> bool:
        return any(session.outbox for session in self._sessions.values())

    def send(self, client: bytes, frames: Frames, droppable: bool = False) -> None:
        """Send or queue.  A message that cannot be sent now is lost before `hello` or where it is droppable."""
        session = self._sessions.get(client)
        if session is None:
            self._try(client, frames)
        elif session.gone:
            return
        elif (session.outbox or not self._try(client, frames, session)) and not (droppable or session.gone):
            session.outbox.append(frames)
            if len(session.outbox) > MAX_OUTBOX:
                session.gone = f"it does not read ({MAX_OUTBOX} messages wait)"

    def answer(
        self,
        client: bytes,
        kind: str,
        request: str,
        fields: Mapping[str, Any] | None = None,
        droppable: bool = False,
    ) -> None:
        """Encode and send a message without arrays."""
        self.send(client, encode(kind, request, None, **(fields or {})), droppable)

    def _try(self, client: bytes, frames: Frames, session: Session | None = None) -> bool:
        try:
            self._socket.send_multipart([client, *frames], zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                log.error("a message could not be sent: %s", error)
            if session is not None:
                session.gone = "its connection is gone"
            return False
        return True

    def tick(self) -> list[Session]:
        """Send what is queued and probe silent clients; returns, and closes, the sessions that are gone."""
        now = time.monotonic()
        for session in self._sessions.values():
            while session.outbox and not session.gone and self._try(session.id, session.outbox[0], session):
                session.outbox.popleft()
            silence = now - session.last_seen
            if silence > CLIENT_SILENCE_SECONDS:
                session.gone = session.gone or f"it was silent for {silence:.0f} s"
            elif silence > PROBE_SECONDS and now - session.last_probe > PROBE_SECONDS:
                # an unrequested `pong`: sending it fails with EHOSTUNREACH when the client's process has ended
                session.last_probe = now
                self.send(session.id, encode("pong"), droppable=True)
        gone = [session for session in self._sessions.values() if session.gone]
        for session in gone:
            del self._sessions[session.id]
            log.info("client %s dropped: %s", session.client, session.gone)
        return gone
