"""The client's background thread, the only user of its sockets.

It sends queued messages and pings, decodes what arrives, and calls `on_lost` once if the connection is lost.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import socket as net
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import zmq
from zmq.utils.monitor import recv_monitor_message

from .. import protocol
from .events import ClientError, CurveKeys

POLL_MS = 100
RECONNECT_SECONDS = 2.0  # after a disconnection: a running server has reconnected by then
HIGH_WATER = 8
REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
KEYS_HINT = "Use keys that `recover-mesh serve --add-client` made, and only with a backend that has them."
LOST_HINT = "Start the job again; the backend is restarted."


def check_endpoint(endpoint: str, allow_remote: bool) -> None:
    """Check an address.  Raises ClientError `bad_endpoint`, `not_loopback` (another machine, not `allow_remote`)."""
    parts = urlsplit(endpoint)
    try:
        good = parts.scheme == "tcp" and parts.hostname and parts.port and not parts.path
    except ValueError:
        good = False
    if not good:
        raise ClientError("bad_endpoint", f"{endpoint!r} is not an endpoint.", "It looks like tcp://127.0.0.1:5555.")
    if parts.hostname not in ("127.0.0.1", "localhost", "::1") and not allow_remote:
        raise ClientError(
            "not_loopback",
            f"{parts.hostname} is another machine, and connecting to others is not allowed here.",
            "Use a backend on this machine, or allow online access.",
        )


class Link:
    """One DEALER socket and its thread.  `lost` is (code, message, hint) once the connection is lost."""

    def __init__(
        self,
        endpoint: str,
        curve: CurveKeys | None,
        on_message: Callable[[str, dict[str, Any], dict[str, Any]], None],
        on_lost: Callable[[str, str, str], None],
    ) -> None:
        self.endpoint = endpoint
        self.lost: tuple[str, str, str] | None = None
        self._curve = curve
        self._on_message = on_message
        self._on_lost = on_lost
        self._outgoing: queue.SimpleQueue[Sequence[bytes | memoryview]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._wake_reader, self._wake_writer = net.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="recover-mesh client", daemon=True)
        self._thread.start()

    def send(self, frames: Sequence[bytes | memoryview]) -> None:
        """Queue a message; never waits."""
        self._outgoing.put(frames)
        self._wake()

    def close(self) -> None:
        """Send what is queued, then end the thread; waits at most two seconds."""
        self._closing.set()
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(2.0)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake already; closed: it has ended
            self._wake_writer.send(b"\0")

    # ---- in the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        context = zmq.Context()
        socket = context.socket(zmq.DEALER)
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | REFUSED)
        try:
            self._configure(socket)
            socket.connect(self.endpoint)
            self._loop(socket, monitor)
        except Exception as error:  # open requests and jobs must end, whatever the reason
            failure = f"The connection failed with {type(error).__name__}: {error}"
            lost = error if isinstance(error, ClientError) else ClientError("backend_lost", failure, LOST_HINT)
            self.lost = (lost.code, lost.message, lost.hint)
            self._on_lost(*self.lost)
        finally:
            socket.disable_monitor()
            monitor.close(0)
            socket.close(100 if self.lost is None else 0)  # ms: time for a last `cancel` to leave
            context.term()
            self._wake_reader.close()
            self._wake_writer.close()

    def _configure(self, socket: zmq.Socket) -> None:
        # An id that survives a reconnection.  Ids that begin with a zero byte are ZeroMQ's
        socket.setsockopt(zmq.ROUTING_ID, b"c" + secrets.token_bytes(15))
        socket.sndhwm = socket.rcvhwm = HIGH_WATER
        socket.maxmsgsize = protocol.MAX_ARRAY_BYTES
        socket.ipv6 = "[" in self.endpoint
        socket.reconnect_ivl, socket.reconnect_ivl_max = 100, 2000
        socket.heartbeat_ivl = int(protocol.HEARTBEAT_SECONDS * 2000)
        socket.heartbeat_timeout = int(protocol.LIVENESS_SECONDS * 1000)
        if self._curve is not None:
            socket.curve_serverkey = self._curve.server_public
            socket.curve_publickey = self._curve.public
            socket.curve_secretkey = self._curve.secret

    def _loop(self, socket: zmq.Socket, monitor: zmq.Socket) -> None:
        poller = zmq.Poller()
        for source in (socket, monitor, self._wake_reader.fileno()):
            poller.register(source, zmq.POLLIN)
        unsent: deque[Sequence[bytes | memoryview]] = deque()
        now = time.monotonic()
        last_received, last_ping, loop_time, established = now, now, now, False
        disconnected: float | None = None
        while True:
            poller.poll(POLL_MS)
            with contextlib.suppress(BlockingIOError):
                while self._wake_reader.recv(4096):
                    pass
            closing = self._closing.is_set()
            while monitor.poll(0):
                event = recv_monitor_message(monitor)["event"]
                if event & REFUSED:
                    raise ClientError("bad_keys", "The backend refuses this client's keys.", KEYS_HINT)
                disconnected = time.monotonic() if event == zmq.EVENT_DISCONNECTED else None
            while socket.poll(0):
                self._receive(socket.recv_multipart())
                last_received, disconnected, established = time.monotonic(), None, True
            previous_loop, loop_time = loop_time, time.monotonic()
            if loop_time - previous_loop > protocol.LIVENESS_SECONDS / 2:
                # this thread was blocked (Blender held Python's lock): wait for the answers of meanwhile
                last_received = loop_time
            self._send_queued(socket, unsent)
            if closing:
                return
            if established and loop_time - last_ping >= protocol.HEARTBEAT_SECONDS:
                last_ping = loop_time
                with contextlib.suppress(zmq.Again):
                    socket.send_multipart(protocol.encode("ping"), zmq.NOBLOCK)
            if not established:
                last_received = loop_time  # connecting: `connect` has its own timeout
            if disconnected is not None and loop_time - disconnected > RECONNECT_SECONDS and established:
                raise ClientError("backend_lost", "The backend has ended or was killed.", LOST_HINT)
            if loop_time - last_received > protocol.LIVENESS_SECONDS:
                silence = f"The backend has not answered for {loop_time - last_received:.0f} s."
                raise ClientError("backend_lost", silence, LOST_HINT)

    def _send_queued(self, socket: zmq.Socket, unsent: deque[Sequence[bytes | memoryview]]) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                unsent.append(self._outgoing.get_nowait())
        with contextlib.suppress(zmq.Again):
            while unsent:
                socket.send_multipart(unsent[0], zmq.NOBLOCK, copy=False)
                unsent.popleft()

    def _receive(self, frames: list[bytes]) -> None:
        try:
            kind, header, arrays = protocol.decode(frames)
            if protocol.MESSAGES[kind].sender != "server":
                raise protocol.ProtocolError("unknown_type", f"a server sends no {kind}")
        except protocol.ProtocolError as error:
            hint = "Use the add-on and the backend of the same release."
            raise ClientError(error.code, f"The backend sent a message that does not fit: {error}.", hint) from None
        if kind != "pong":
            self._on_message(kind, header, arrays)
