"""The server's handle on its worker process: start, messages, death, restart."""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.serving.pipe import read_message, write_message
from backend.serving.wakeup_socket import Wake

log = logging.getLogger("recover-mesh.server")
RESTART_SECONDS = (0.0, 0.5, 2.0, 10.0)  # pause before a restart, by deaths in a row

# The worker imports modules from where the server does
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from backend.serving.worker import main; raise SystemExit(main(sys.argv[2]))"
)


class WorkerProcess:
    """At most one child process.  Its methods are for the polling thread; threads of its own serve the pipes.

    `events` returns the worker's messages in order; when it has exited, the event `died` (code) once.
    """

    def __init__(self, settings: dict[str, str], wake: Wake) -> None:
        self._settings = settings
        self._wake = wake
        self._events: queue.SimpleQueue[tuple[int, dict[str, Any], list[bytes]]] = queue.SimpleQueue()
        self._outgoing: queue.SimpleQueue[tuple[dict[str, Any], Sequence[bytes]] | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._generation = 0
        self._restart_at = 0.0
        self.deaths = 0  # in a row, without being `ready` between them
        self.ready = False

    @property
    def alive(self) -> bool:
        return self._process is not None

    def tick(self) -> None:
        """Start the process if there is none and the pause after the last death is over."""
        if self._process is None and time.monotonic() >= self._restart_at:
            self._start()

    def _start(self) -> None:
        self._generation += 1
        paths = [str(Path(entry).absolute()) if entry else str(Path.cwd()) for entry in sys.path]
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, json.dumps(paths), json.dumps(self._settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            creationflags=hidden,
        )
        self._process = process
        self._outgoing = queue.SimpleQueue()
        self.ready = False
        for target, extra in ((self._read, self._generation), (self._write, self._outgoing)):
            threading.Thread(target=target, args=(process, extra), daemon=True).start()
        log.info("worker started, pid %d", process.pid)

    def _read(self, process: subprocess.Popen[bytes], generation: int) -> None:
        assert process.stdout is not None
        try:
            while (message := read_message(process.stdout)) is not None:
                self._events.put((generation, *message))
                self._wake.set()
        except (OSError, ValueError):
            log.exception("the worker's pipe broke")
        process.kill()  # without its pipe it is of no use
        self._events.put((generation, {"event": "died", "code": process.wait()}, []))
        self._wake.set()

    @staticmethod
    def _write(process: subprocess.Popen[bytes], outgoing: queue.SimpleQueue) -> None:
        assert process.stdin is not None
        try:
            while (message := outgoing.get()) is not None:
                write_message(process.stdin, *message)
            process.stdin.close()
        except (OSError, ValueError):
            pass  # it has exited, which `_read` reports

    def send(self, header: dict[str, Any], frames: Sequence[bytes] = ()) -> None:
        self._outgoing.put((header, frames))

    def events(self) -> list[tuple[dict[str, Any], list[bytes]]]:
        """Headers and frames of the messages since the last call."""
        found: list[tuple[dict[str, Any], list[bytes]]] = []
        while True:
            try:
                generation, header, frames = self._events.get_nowait()
            except queue.Empty:
                return found
            if generation != self._generation:
                continue
            if header["event"] == "died":
                self._outgoing.put(None)
                self._process = None
                self.deaths += 1
                pause = RESTART_SECONDS[min(self.deaths, len(RESTART_SECONDS)) - 1]
                self._restart_at = time.monotonic() + pause
                log.warning("worker died with code %s, next start in %g s", header["code"], pause)
            elif header["event"] in ("ready", "warm_failed", "result", "body"):
                self.ready = True
                self.deaths = 0
            found.append((header, frames))

    def kill(self) -> None:
        """Kill the process at once; `died` follows, and `tick` starts a new one."""
        if self._process is not None:
            self._process.kill()

    def stop(self, patience: float = 0.3) -> None:
        """End the process for good: close its input, kill it after `patience` seconds."""
        process, self._process = self._process, None
        self._generation += 1
        if process is None:
            return
        self._outgoing.put(None)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
