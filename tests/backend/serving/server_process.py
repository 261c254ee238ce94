"""A real server in its own process, with the fake recoverer in its worker, and a bare client."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import zmq

from backend import protocol

ROOT = Path(__file__).parents[3]
TOKEN = "a token for tests"
TIMEOUT = 120.0  # seconds, for slow machines; a test that waits this long has failed


def wait_for(condition, what: str) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, f"waited {TIMEOUT} s for {what}"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process runs.  Zombies, which have ended but were not waited for, do not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class ServerProcess:
    """`python -m backend.serving.server`; a context manager that kills it."""

    def __init__(self, *args: str, factory: str = "fake_recoverer:FakeRecoverer", **popen: Any) -> None:
        paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "RECOVER_MESH_TOKEN": TOKEN}
        command = [sys.executable, "-m", "backend.serving.server", "--factory", factory]
        self.process = subprocess.Popen(
            [*command, "--body-source", "fake_recoverer:fake_body", *args],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            **popen,
        )

    def wait_ready(self) -> ServerProcess:
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.ready: dict[str, Any] = json.loads(self.line)
        self.endpoint: str = self.ready["endpoint"]
        return self

    def __enter__(self) -> ServerProcess:
        return self.wait_ready()

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def worker_pids(self) -> list[int]:
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parts = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(parts[1]) == self.process.pid and parts[0] != "Z":
                found.append(int(stat.parent.name))
        return found

    def memory_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class BareClient:
    """A DEALER socket without any logic of its own; a context manager."""

    def __init__(self, endpoint: str, hello: bool = True, hwm: int = 1000) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvhwm = hwm
        self.socket.connect(endpoint)
        if hello:
            self.send("hello", token=TOKEN, client="test")
            self.welcome = self.expect("welcome")

    def __enter__(self) -> BareClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close(0)
        self.context.term()

    def send(self, kind: str, request: str = "", arrays: Any = None, **fields: Any) -> None:
        self.socket.send_multipart(protocol.encode(kind, request, arrays, **fields))

    def recover(self, job: str, *sources: str, arrays: Any = None, **fields: Any) -> None:
        fields = {"model": "keypoint-fit", "people": "all", **fields}
        self.send("recover", "request " + job, arrays, job=job, sources=list(sources), **fields)

    def receive(self, seconds: float = TIMEOUT) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        if not self.socket.poll(seconds * 1000):
            return None
        return protocol.decode(self.socket.recv_multipart())

    def expect(self, kind: str, skip: tuple[str, ...] = ("pong", "progress", "accepted")) -> dict[str, Any]:
        """Header of the next message that is not in `skip`, which must be a `kind`; arrays under "_arrays"."""
        while True:
            message = self.receive()
            assert message is not None, f"waited for {kind}"
            if message[0] == kind:
                return {**message[1], "_arrays": message[2]}
            assert message[0] in skip, f"expected {kind}, got {message}"

    def collect(self, job: str, acknowledge: bool = True) -> list[tuple[str, dict[str, Any]]]:
        """Kinds and headers of a job's messages until its end, without `accepted` and `progress`."""
        found = []
        while True:
            message = self.receive()
            assert message is not None, f"{job} does not end: {found}"
            kind, header, arrays = message
            if header.get("job") != job or kind in ("accepted", "progress"):
                continue
            found.append((kind, {**header, "_arrays": arrays}))
            if kind == "result" and acknowledge:
                self.send("ack", job=job, index=header["index"])
            if kind in ("done", "cancelled", "error"):
                return found


def kinds(found):
    return [kind for kind, _ in found]


def kinds_within(client, seconds):
    found = set()
    while (message := client.receive(seconds)) is not None:
        found.add(message[0])
    return found


class Clock:
    """A replacement for `time` in a module: a monotonic clock that can be set forward."""

    def __init__(self):
        self.ahead = 0.0  # s

    def monotonic(self):
        return time.monotonic() + self.ahead


class Gate:
    """A source that keeps the worker busy until `open`."""

    def __init__(self, path):
        self.path = path
        self.source = f"wait:{path}"

    def wait_started(self):
        wait_for(self.path.with_name(self.path.name + ".started").exists, "the worker to begin")

    def open(self):
        self.path.touch()


@contextlib.contextmanager
def server_here(**options):
    """A server in a thread of this process, for options that are not on the command line."""
    from backend.serving.server import Server, ServerOptions

    server = Server(ServerOptions(token=TOKEN, **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(TIMEOUT)
    assert not thread.is_alive()
