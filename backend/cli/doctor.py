"""`recover-mesh doctor`: what is installed, what is missing, and what to do about it."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from backend import __version__
from backend.errors import RecoverMeshError

MIN_FREE_GB = 2
# distribution -> module
PACKAGES = {
    "torch": "torch", "numpy": "numpy", "scipy": "scipy", "mediapipe": "mediapipe", "opencv-contrib-python": "cv2",
    "av": "av", "pillow": "PIL", "pyzmq": "zmq", "msgpack": "msgpack", "safetensors": "safetensors", "rich": "rich",
    "msgspec": "msgspec", "filelock": "filelock",
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One line of the report.  state: ok, warning (a part is missing) or problem (does not work)."""

    name: str
    state: str
    words: str
    hint: str = ""


def add_doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run_doctor(args: argparse.Namespace) -> int:
    """Print every finding; returns 1 where there is a problem."""
    findings = list(examine())
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            mark = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}[finding.state]
            print(f"{mark}  {finding.name:<12} {finding.words}")
            if finding.hint:
                print(f"{'':22}{finding.hint}")
    return int(any(finding.state == "problem" for finding in findings))


def examine() -> Iterator[Finding]:
    """The findings of all checks."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python, _packages, _device, _detector, _body, _folders, _loopback, _blender,
    )  # fmt: skip
    for check in checks:
        try:
            yield from check()
        except RecoverMeshError as error:
            yield Finding(check.__name__.lstrip("_"), "problem", error.message, error.hint)
        except Exception as error:  # whatever a check raises is a finding too
            yield Finding(check.__name__.lstrip("_"), "problem", f"{type(error).__name__}: {error}", "Install again.")


def _python() -> Iterator[Finding]:
    words = f"{platform.python_version()} on {platform.platform()}, recover-mesh {__version__}"
    good = (3, 11) <= sys.version_info[:2] <= (3, 12)
    yield Finding("python", "ok" if good else "problem", words, "" if good else "Use Python 3.11 or 3.12.")


def _packages() -> Iterator[Finding]:
    for distribution, module in PACKAGES.items():
        try:
            version = metadata.version(distribution)
            importlib.import_module(module)
        except metadata.PackageNotFoundError:
            yield Finding(distribution, "problem", "is not installed", f"python -m pip install {distribution}")
        except Exception as error:
            hint = "Install the system library it names (on Debian: python tools/system_libraries.py)."
            yield Finding(distribution, "problem", f"{version} cannot be imported: {error}", hint)
        else:
            yield Finding(distribution, "ok", version)


def _device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        yield Finding("device", "ok", f"{torch.cuda.get_device_name()}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free")
    else:
        yield Finding("device", "ok", f"cpu, {torch.get_num_threads()} threads (no CUDA device found)")


def _detector() -> Iterator[Finding]:
    from backend.people.detect.task_bundle import pose_bundle

    path = pose_bundle()
    yield Finding("people", "ok", f"MediaPipe's own models, {path.stat().st_size / 1e6:.1f} MB")


def _body() -> Iterator[Finding]:
    from backend.body.loader import load_body
    from backend.body.registry import available_bodies

    body = load_body("open")
    digest = hashlib.sha256(available_bodies()[0].path.read_bytes()).hexdigest()[:16]
    yield Finding("body", "ok", f"{body.name}, {len(body.v_template)} vertices, {body.license}, file sha256 {digest}")
    for spec in available_bodies()[1:]:
        yield Finding("body", "ok", f"{spec.name}, yours, {spec.license}")


def _folders() -> Iterator[Finding]:
    from backend.paths import cache_dir, data_dir

    for name, folder in (("data", data_dir()), ("cache", cache_dir())):
        free = shutil.disk_usage(folder).free / 1e9
        state, hint = "ok", ""
        if not os.access(folder, os.W_OK):
            state, hint = "problem", "Make it writable, or set RECOVER_MESH_HOME to another folder."
        elif free < MIN_FREE_GB:
            state, hint = "warning", "Free some space."
        yield Finding(name, state, f"{folder}, {free:.0f} GB free", hint)


def _loopback() -> Iterator[Finding]:
    import zmq

    with zmq.Context() as context, context.socket(zmq.REP) as server, context.socket(zmq.REQ) as client:
        server.linger = client.linger = 0
        port = server.bind_to_random_port("tcp://127.0.0.1")
        client.connect(f"tcp://127.0.0.1:{port}")
        client.send(b"ping")
        arrived = bool(server.poll(3000)) and server.recv() == b"ping"
    hint = "" if arrived else "A firewall may block this machine's connections to itself."
    yield Finding("loopback", "ok" if arrived else "problem", "ZeroMQ message on 127.0.0.1", hint)


def _blender() -> Iterator[Finding]:
    from backend.export.blender_export import PYTHON_VARIABLE

    found = shutil.which("blender")
    if os.environ.get(PYTHON_VARIABLE):
        yield Finding("blender", "ok", f"bpy of {os.environ[PYTHON_VARIABLE]}")
    elif importlib.util.find_spec("bpy") is not None:
        yield Finding("blender", "ok", f"bpy {metadata.version('bpy')} (glb and blend export)")
    else:
        words = f"{Path(found)}; no bpy for glb and blend export" if found else "not found; no glb and blend export"
        yield Finding("blender", "warning", words, "python -m pip install 'recover-mesh[blender]' (Python 3.11)")
