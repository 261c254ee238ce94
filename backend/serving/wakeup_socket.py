"""A socket by which any thread wakes another that waits in a poll, on every platform."""

from __future__ import annotations

import contextlib
import socket


class Wake:
    """A connected pair of sockets; register `wake.fileno()` for reading."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def set(self) -> None:
        with contextlib.suppress(OSError):  # full: awake already; closed: no thread waits
            self._writer.send(b"\0")

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
