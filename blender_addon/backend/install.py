# SPDX-License-Identifier: GPL-3.0-or-later
"""Install Backend: a private Python environment in the extension's user folder.  No bpy here.

The extension's zip bundles the backend's wheel; its dependencies come from the package index.  It needs no
administrator rights and installs nothing into Blender's own Python.  A marker file is written last, so that an
incomplete environment is never used.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from ..errors import UserError
from .process import MARKER, clean_environment, environment_python, popen_options, private_environment

TORCH = "torch~=2.13.0"
PYTHON_VERSIONS = ((3, 12), (3, 11))  # supported by the backend
EXPECTED_PACKAGES = 60  # pip collects about as many; only for the progress bar
LOG_NAME = "install.log"
_PIP_INSTALL = ("-m", "pip", "install", "--no-input", "--disable-pip-version-check")
_PROBE = "import sys, venv, ensurepip; print(sys.version_info[0], sys.version_info[1], sys.maxsize > 2**32)"
_VERIFY = "import backend, torch, mediapipe; print(backend.__version__)"


class _CancelledError(Exception):
    """The user cancelled the installation."""


def bundled_wheel() -> str | None:
    """Path of the backend's wheel inside this extension; None in a checkout."""
    folder = os.path.join(os.path.dirname(os.path.dirname(__file__)), "backend_wheel")
    return next(iter(sorted(glob.glob(os.path.join(glob.escape(folder), "recover_mesh-*.whl")))), None)


def bundled_constraints(wheel: str) -> list[str]:
    """pip's arguments for the versions that this release was tested with; their file is bundled beside the wheel."""
    path = os.path.join(os.path.dirname(wheel), "constraints.txt")
    return ["-c", path] if os.path.isfile(path) else []


def bundled_version() -> str | None:
    """Version of the bundled wheel; None in a checkout."""
    wheel = bundled_wheel()
    return None if wheel is None else os.path.basename(wheel).split("-")[1]


class Installation:
    """One installation.  The constructor starts its thread.

    Any thread may read `step`, `fraction` (0..1), `lines`, `running`, `cancelled` and `error`.
    """

    def __init__(self, folder: str, wheel: str | None = None, requirements: Sequence[str] = (TORCH,)) -> None:
        self.folder = folder
        self.log_path = os.path.join(folder, LOG_NAME)
        self.step = "Starting"
        self.fraction = 0.0
        self.lines: list[str] = []
        self.error: UserError | None = None
        self.cancelled = False
        self._wheel = wheel if wheel is not None else bundled_wheel()
        self._requirements = list(requirements)
        self._cancel = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="install backend", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def cancel(self) -> None:
        """Stop soon and remove the incomplete environment.  Never waits."""
        self._cancel.set()
        process = self._process
        if process is not None:
            _kill_group(process)

    def join(self, seconds: float | None = None) -> None:
        self._thread.join(seconds)

    # ---- in the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        target = private_environment(self.folder)
        try:
            os.makedirs(self.folder, exist_ok=True)
            with open(self.log_path, "w", encoding="utf-8") as self._log:
                self._install(target)
        except _CancelledError:
            self.cancelled = True
            self._set_step("Cancelled", self.fraction)
        except UserError as error:
            self.error = error
        except Exception as error:
            self.error = UserError(f"The backend could not be installed ({error}).", f"The log is {self.log_path}.")
        if self.error is not None or self.cancelled:
            _remove(target)

    def _install(self, target: str) -> None:
        if self._wheel is None:
            raise UserError(
                "This copy of the extension bundles no backend.",
                "Install the zip that `make extension` builds, or name an environment in the preferences.",
            )
        _remove(target)
        self._set_step("Looking for Python 3.11 or 3.12", 0.01)
        venv_command = self._find_venv_command()
        self._set_step("Making a private environment", 0.05)
        self._execute([*venv_command, target], "The private environment could not be made")
        python = environment_python(target)
        if python is None:
            raise UserError("The private environment has no Python.", f"The log is {self.log_path}.")
        self._set_step("Downloading", 0.08)
        pip = [python, *_PIP_INSTALL, "--progress-bar", "off"]
        self._execute(
            [*pip, *bundled_constraints(self._wheel), *self._requirements, self._wheel],
            "The backend's packages could not be installed",
        )
        self._set_step("Checking", 0.97)
        output = self._execute([python, "-P", "-c", _VERIFY], "The backend was installed but does not start")
        with open(os.path.join(target, MARKER), "w", encoding="utf-8") as file:
            json.dump({"version": output[-1] if output else ""}, file)
        self._set_step("Installed", 1.0)

    def _find_venv_command(self) -> list[str]:
        """A command that makes a virtual environment in the folder given as its last argument."""
        for candidate in candidates():
            answer = self._python_info([*candidate, "-c", _PROBE])
            if answer and answer[2] == "True" and (int(answer[0]), int(answer[1])) in PYTHON_VERSIONS:
                return [*candidate, "-m", "venv"]
        self._set_step("Fetching Python 3.12", 0.02)
        return [*self._uv(), "venv", "--python", "3.12", "--managed-python", "--seed"]

    def _uv(self) -> list[str]:
        """The command of uv, which downloads a Python where the system has none that fits.  Raises UserError."""
        found = shutil.which("uv")
        if found:
            return [found]
        helper = os.path.join(self.folder, "uv")
        _remove(helper)
        try:
            self._execute([sys.executable, "-m", "venv", helper], "A helper environment could not be made")
            python = environment_python(helper) or ""
            self._execute([python, *_PIP_INSTALL, "-q", "uv"], "uv could not be fetched")
        except UserError as error:
            raise UserError(
                f"No Python 3.11 or 3.12 was found, and none could be fetched. {error.message}",
                "Install Python 3.12 from python.org, then click Install Backend again.",
            ) from None
        return [python, "-m", "uv"]

    def _python_info(self, command: Sequence[str]) -> list[str]:
        """The words that a command prints; none where it fails.  Raises _CancelledError."""
        if self._cancel.is_set():
            raise _CancelledError
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=30,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired):
            return []
        self._log.write(f"{' '.join(command[:-2])}: {done.stdout.strip() or done.stderr.strip()[-200:]}\n")
        return done.stdout.split() if done.returncode == 0 else []

    def _execute(self, command: Sequence[str], failure: str) -> list[str]:
        """Run a command to its end; returns the lines that it printed.  Raises UserError, _CancelledError."""
        if self._cancel.is_set():
            raise _CancelledError
        self._log.write(f"$ {' '.join(command)}\n")
        try:
            process = self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                cwd=self.folder,
                env=clean_environment(),
                **popen_options(),
            )
        except OSError as error:
            raise UserError(f"{failure} ({error}).", f"The log is {self.log_path}.") from None
        if self._cancel.is_set():  # cancelled between the check and the start
            _kill_group(process)
        output: list[str] = []
        for line in process.stdout or ():
            line = line.rstrip()
            if line:
                output.append(line)
                self._log_line(line)
        code = process.wait()
        self._process = None
        if self._cancel.is_set():
            raise _CancelledError
        if code:
            reason = next(
                (s for s in reversed(output) if "error" in s.lower()),
                output[-1] if output else f"exit code {code}",
            )
            raise UserError(f"{failure}: {reason}", f"The log is {self.log_path}.")
        return output

    def _log_line(self, line: str) -> None:
        self.lines.append(line)
        self._log.write(line + "\n")
        self._log.flush()
        # pip: "Collecting numpy<3", "Downloading x-1.0.whl (12.3 MB)", "Installing collected packages: …"
        found = re.match(r"\s*(Collecting|Downloading|Installing)\s+([^\s<>=~!;\[]+)", line)
        if found and found[1] == "Installing":
            self._set_step("Unpacking (this takes a minute)", 0.85)
        elif found:
            fraction = self.fraction + (0.75 / EXPECTED_PACKAGES if found[1] == "Collecting" else 0.0)
            size = re.search(r"\(([\d.]+ [kMG]B)\)", line)
            name = found[2].rsplit("/", 1)[-1].split("-")[0]
            self._set_step(f"Downloading {name}{f' ({size[1]})' if size else ''}", min(fraction, 0.84))

    def _set_step(self, step: str, fraction: float) -> None:
        self.step, self.fraction = step, fraction


def candidates() -> Iterator[list[str]]:
    """Commands that may start a supported Python, the likeliest first."""
    yield [sys.executable]  # Blender's own, 3.11 up to Blender 5.0; it only makes the environment
    for major, minor in PYTHON_VERSIONS:
        found = shutil.which(f"python{major}.{minor}")
        if found:
            yield [found]
        if sys.platform == "win32" and shutil.which("py"):
            yield ["py", f"-{major}.{minor}"]
    for name in ("python3", "python"):
        found = shutil.which(name)
        if found:
            yield [found]


def _kill_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            kill = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
            subprocess.run(kill, capture_output=True, creationflags=subprocess.CREATE_NO_WINDOW, check=False)
        else:
            os.killpg(process.pid, signal.SIGKILL)


def _remove(folder: str) -> None:
    """Remove a folder; Windows may hold its files for a moment after the process has ended."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return
        time.sleep(0.1)
