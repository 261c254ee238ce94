# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend as a child process: find its Python, start it, stop it.  No bpy here.

The child reads its standard input and exits when that closes, so it never outlives Blender, not even after a crash.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, Any

from ..errors import UserError

START_SECONDS = 120.0  # a cold disk and a virus scanner are slow
STOP_SECONDS = 2.0
MAX_LOG_BYTES = 1_000_000  # a longer log is renamed to NAME.old at the next start
MARKER = "recover-mesh.json"  # in a complete private environment; contains {"version": …}
INSTALL_HINT = "Click Install Backend in the extension's preferences, or name an environment there."


def private_environment(folder: str) -> str:
    """Folder of Install Backend's environment.  folder: the extension's user folder."""
    return os.path.join(folder, "backend")


def environment_python(path: str) -> str | None:
    """The interpreter in a virtual environment or Python folder, or `path` if it is a file; None if there is none."""
    if os.path.isfile(path):
        return path
    names = ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe")
    return next((p for p in (os.path.join(path, *n.split("/")) for n in names) if os.path.isfile(p)), None)


def find_python(configured: str, folder: str) -> str:
    """The backend's Python: the configured one, else the private environment's.  Raises UserError."""
    if configured:
        found = environment_python(os.path.expanduser(configured))
        if found is None:
            raise UserError(
                f"There is no Python in {configured}.",
                "Name a Python or a virtual environment in the preferences.",
            )
        return found
    private = private_environment(folder)
    found = environment_python(private)
    if found is None or installed_version(folder) is None:
        raise UserError("The backend is not installed.", INSTALL_HINT)
    return found


def installed_version(folder: str) -> str | None:
    """Version of the backend in the private environment; None if there is no complete one."""
    try:
        with open(os.path.join(private_environment(folder), MARKER), encoding="utf-8") as file:
            return str(json.load(file)["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def clean_environment() -> dict[str, str]:
    """Our environment variables without those that configure a Python; PIP_* and the rest stay."""
    drop = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "PYTHONUSERBASE", "VIRTUAL_ENV")
    kept = {key: value for key, value in os.environ.items() if key not in drop and key != "__PYVENV_LAUNCHER__"}
    return {**kept, "PYTHONUTF8": "1", "PYTHONNOUSERSITE": "1"}


def popen_options() -> dict[str, Any]:
    """Popen's arguments for a new process group, on Windows without a console window."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


class BackendProcess:
    """One run of the backend.  `endpoint` and `token` are valid once `start` has returned."""

    def __init__(self, python: str, log_path: str, device: str = "auto", extra_args: Sequence[str] = ()) -> None:
        self.python = python
        self.log_path = log_path
        self.device = device
        self.endpoint = ""
        self.token = secrets.token_urlsafe(24)
        self._extra_args = list(extra_args)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self, cancelled: Callable[[], bool] = lambda: False, timeout: float = START_SECONDS) -> bool:
        """Start and wait until the backend is ready; False if `cancelled` returned True.  Raises UserError."""
        folder = os.path.dirname(self.log_path)
        command = [self.python, "-P", "-m", "backend.serving.server", "--watch-stdin", "--device", self.device]
        try:
            os.makedirs(folder, exist_ok=True)
            if os.path.isfile(self.log_path) and os.path.getsize(self.log_path) > MAX_LOG_BYTES:
                os.replace(self.log_path, self.log_path + ".old")
            with open(self.log_path, "ab") as log:
                log.write(f"\n---- {time.strftime('%Y-%m-%d %H:%M:%S')} {self.python}\n".encode())
                log.flush()
                log_start = log.tell()
                self._process = subprocess.Popen(
                    [*command, *self._extra_args],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=folder,
                    env={**clean_environment(), "RECOVER_MESH_TOKEN": self.token},
                    **popen_options(),
                )
        except OSError as error:
            raise UserError(f"The backend cannot be started with {self.python} ({error}).", INSTALL_HINT) from None
        lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=_drain, args=(self._process.stdout, lines), name="backend stdout", daemon=True).start()
        deadline = time.monotonic() + timeout
        while not self.endpoint:
            if cancelled():
                self.stop()
                return False
            try:
                line = lines.get(timeout=0.1)
            except queue.Empty:
                line = b""
            if line is None:
                raise self._startup_error(log_start)
            self._read_ready(line)
            if not self.endpoint and time.monotonic() > deadline:
                self.stop()
                raise UserError(
                    f"The backend did not become ready within {timeout:g} s.", f"Its log is {self.log_path}."
                )
        return True

    def stop(self) -> None:
        """End the child: close its stdin, then terminate, then kill.  Idempotent; takes at most a few seconds."""
        process = self._process
        if process is None:
            return
        close_stdin = process.stdin.close if process.stdin is not None else process.terminate
        for end in (close_stdin, process.terminate, process.kill):
            with contextlib.suppress(OSError):
                end()
            try:
                process.wait(STOP_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue

    def exit_reason(self) -> str:
        """How the child ended, as text; empty while it runs."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return ""
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    def last_lines(self, start: int = 0, count: int = 4) -> str:
        """The last `count` lines of the log that are not empty, from byte `start` on."""
        try:
            with open(self.log_path, "rb") as file:
                file.seek(max(start, os.path.getsize(self.log_path) - 8192))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return "\n".join([line.rstrip() for line in lines if line.strip()][-count:])

    def _read_ready(self, line: bytes) -> None:
        try:
            ready = json.loads(line)
            if ready["event"] == "ready":
                self.endpoint, self.token = str(ready["endpoint"]), str(ready["token"])
        except (ValueError, KeyError, TypeError):
            pass  # a line that a library prints

    def _startup_error(self, log_start: int) -> UserError:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        output = self.last_lines(log_start)
        if "No module named" in output and "backend" in output.rpartition("No module named")[2]:
            return UserError(f"{self.python} has no Recover Mesh backend in it.", INSTALL_HINT)
        if "unknown option -P" in output.lower() or "Unknown option: -P" in output:
            return UserError(f"{self.python} is too old; Python 3.11 or 3.12 is needed.", INSTALL_HINT)
        exit_reason = self.exit_reason() or "no reason given"
        return UserError(
            f"The backend ended at its start ({exit_reason}): {output or 'it printed nothing'}",
            f"Its log is {self.log_path}.",
        )


def _drain(output: IO[bytes], lines: queue.SimpleQueue[bytes | None]) -> None:
    """Put every line of `output` into `lines`, and None at its end."""
    for line in output:
        lines.put(line)
    lines.put(None)
