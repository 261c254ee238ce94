"""The server: one ROUTER socket, one polling thread, inference in a worker process.

The polling thread blocks only in its poll, never on the worker or a client.  `serve` is the entry point of
`recover-mesh serve` and of `python -m backend.serving.server`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zmq

from backend import __version__, protocol
from backend.clips.job_file import ClipJobFile
from backend.errors import BadInput, RecoverMeshError
from backend.serving.available_models import bodies, check_body, check_model, models
from backend.serving.jobs import ClipJob, PhotoJob
from backend.serving.messages import error_fields
from backend.serving.options import ServerOptions, add_serve_arguments, serve_options
from backend.serving.scheduler import Scheduler
from backend.serving.security import CurveServer, bind_address, choose_token, same_token
from backend.serving.sessions import Sessions
from backend.serving.wakeup_socket import Wake
from backend.serving.worker_process import WorkerProcess

log = logging.getLogger("recover-mesh.server")
HIGH_WATER = 8  # messages per client and direction in ZeroMQ's own queues
POLL_MS = 100
SOON_MS = 20  # while something waits to be sent
MESSAGES_PER_TURN = 64  # read from the socket before the worker's messages are handled


class Server:
    """Binds in the constructor (raises BadInput), works in `run`, ends after `stop` (from any thread)."""

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.token = choose_token(options.token)
        curve = None if options.curve_keys is None else CurveServer(options.curve_keys)
        address = bind_address(options.host, options.port, curve is not None)
        self._stopping = False
        self._context, self._curve = zmq.Context(), curve
        self._socket = self._context.socket(zmq.ROUTER)
        try:
            self.endpoint = self._bind(address)
        except BaseException:
            self._close_socket()
            raise
        self._wake = Wake()
        self._sessions = Sessions(self._socket)
        names = ("factory", "body_source", "clip_factory", "device", "model", "precision")
        settings = {name: getattr(options, name) for name in names}
        self._worker = WorkerProcess(settings, self._wake)
        self._scheduler = Scheduler(self._worker, self._sessions, options.device, options.task_seconds)

    def _bind(self, address: str) -> str:
        socket = self._socket
        socket.linger = 0
        socket.router_mandatory = 1
        socket.sndhwm = socket.rcvhwm = HIGH_WATER
        socket.maxmsgsize = protocol.MAX_ARRAY_BYTES
        socket.ipv6 = ":" in self.options.host
        socket.heartbeat_ivl = int(protocol.HEARTBEAT_SECONDS * 2000)
        socket.heartbeat_timeout = socket.heartbeat_ttl = int(protocol.LIVENESS_SECONDS * 1000)
        if self._curve is not None:
            self._curve.protect(self._context, socket)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            where = f"{self.options.host}:{self.options.port}"
            if error.errno == zmq.EADDRINUSE:
                raise BadInput(
                    "port_taken",
                    f"{where} is in use by another program.",
                    "Use --port 0 for any free port, or end the other program.",
                ) from None
            raise BadInput(
                "bad_address", f"The backend cannot listen on {where}: {error}.", "Use --host 127.0.0.1."
            ) from None
        return bytes(socket.get(zmq.LAST_ENDPOINT)).decode().rstrip("\0")

    def stop(self) -> None:
        """End `run` soon.  Safe from signal handlers and other threads."""
        self._stopping = True
        self._wake.set()

    def kill_worker(self) -> None:
        """Kill the worker at once; for the thread that watches the standard input, when the polling thread hangs."""
        self._worker.kill()

    def run(self) -> None:
        """Serve until `stop`.  Starts the worker, which loads the first model before a client needs it."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._wake.fileno(), zmq.POLLIN)
        try:
            while not self._stopping:
                self._worker.tick()
                soon = self._sessions.waiting() or self._scheduler.progress_waits
                poller.poll(SOON_MS if soon else POLL_MS)
                self._wake.clear()
                for header, frames in self._worker.events():
                    self._scheduler.on_worker(header, frames)
                self._receive()
                for session in self._sessions.tick():
                    self._scheduler.drop_client(session.id)
                self._scheduler.tick()
        finally:
            self._worker.stop()
            self._close_socket()
            self._wake.close()

    def _close_socket(self) -> None:
        if self._curve is not None:
            self._curve.stop()
        self._socket.close(0)
        self._context.term()

    # ---- from clients ------------------------------------------------------------------------------------

    def _receive(self) -> None:
        for _ in range(MESSAGES_PER_TURN):
            try:
                client, *frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._on_message(client, frames)

    def _on_message(self, client: bytes, frames: list[bytes]) -> None:
        request, job_id = "", ""
        try:
            kind, header, arrays = protocol.decode(frames)
            request, job_id = header["request"], header.get("job", "")
            if protocol.MESSAGES[kind].sender != "client":
                raise protocol.ProtocolError("unknown_type", f"{kind} is a message of a server, not of a client")
            session = self._sessions.get(client)
            if session is not None:
                session.last_seen = time.monotonic()
            if kind == "hello":
                self._hello(client, header)
            elif session is None:
                raise RecoverMeshError(
                    "hello_first", f"{kind} came before `hello`.", "Connect again, with the backend's token."
                )
            else:
                getattr(self, f"_on_{kind}")(client, header, arrays)
        except protocol.ProtocolError as error:
            self._sessions.answer(client, "error", request or error.request, error_fields(error, error.job))
        except Exception as error:  # a bug in one handler must not stop the server
            if not isinstance(error, RecoverMeshError):
                log.exception("a message could not be handled")
            self._sessions.answer(client, "error", request, error_fields(error, job_id))

    def _hello(self, client: bytes, header: dict[str, Any]) -> None:
        if not same_token(self.token, header["token"]):
            raise RecoverMeshError("bad_token", "The token is not this backend's.", "Use the token of its ready line.")
        self._sessions.open(client, header["client"])
        log.info("client %s connected", header["client"])
        fields = {
            "server": f"recover-mesh {__version__}",
            "device": self._scheduler.device,
            "models": models(),
            "bodies": bodies(),
        }
        self._sessions.answer(client, "welcome", header["request"], fields)

    def _on_ping(self, client: bytes, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        self._sessions.answer(client, "pong", header["request"], droppable=True)

    def _on_get_body(self, client: bytes, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        check_body(header["body"])
        self._scheduler.request_body(client, header["request"], header["body"])

    def _on_recover(self, client: bytes, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        check_model(header["model"])
        images = [arrays[name].tobytes() for name in sorted(arrays)]
        wanted = sum(source == "" for source in header["sources"])
        if wanted != len(images):
            raise protocol.ProtocolError("malformed", f"recover has {wanted} empty sources, but {len(images)} images")
        job = PhotoJob(
            client,
            header["job"],
            header["request"],
            header["sources"],
            deque(images),
            header["model"],
            header["people"],
            float(header.get("focal_px", 0.0)),
        )
        self._scheduler.submit(job)

    def _on_recover_clip(self, client: bytes, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        file = Path(header["file"])
        check_model(ClipJobFile.load(file).model)
        self._scheduler.submit(ClipJob(client, header["job"], header["request"], str(file)))

    def _on_ack(self, client: bytes, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        self._scheduler.acknowledge(client, header["job"], header["index"])

    def _on_cancel(self, client: bytes, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        self._scheduler.cancel(client, header["job"], header["request"])

    def _on_shutdown(self, client: bytes, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        log.info("a client requested the shutdown")
        self.stop()


def serve(options: ServerOptions) -> int:
    """Serve until SIGTERM, SIGINT, `shutdown`, or (watch_stdin) the end of the standard input.  Returns 0.

    The ready event is printed as one line of JSON on stdout.
    Raises BadInput where it cannot listen: `port_taken`, `bad_port`, `not_loopback`, `bad_keys`, `bad_address`.
    """
    server = Server(options)
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda *_: server.stop())
    if options.watch_stdin:
        threading.Thread(target=_watch_stdin, args=(server,), name="stdin", daemon=True).start()
    ready = {
        "event": "ready",
        "endpoint": server.endpoint,
        "token": server.token,
        "pid": os.getpid(),
        "protocol": protocol.VERSION,
        "version": __version__,
    }
    print(json.dumps(ready), flush=True)
    log.info("listening on %s", server.endpoint)
    server.run()
    return 0


def _watch_stdin(server: Server) -> None:
    """Stop the server when the standard input closes: that happens even when the parent is killed."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    log.info("standard input closed: stopping")
    server.stop()
    time.sleep(0.7)
    server.kill_worker()  # the process still runs: the polling thread hangs
    os._exit(0)


def run_serve(args: argparse.Namespace) -> int:
    """Run `serve` with the command's arguments; returns the exit code.  Raises RecoverMeshError (exit code 2)."""
    options = serve_options(args)
    return 0 if options is None else serve(options)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m backend.serving.server`: the same as `recover-mesh serve`, without the other commands' imports."""
    parser = argparse.ArgumentParser(prog="python -m backend.serving.server", allow_abbrev=False)
    add_serve_arguments(parser)
    try:
        return run_serve(parser.parse_args(argv))
    except RecoverMeshError as error:
        print(f"recover-mesh: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
