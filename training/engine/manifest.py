"""The manifest of a run: all that is needed to repeat it, as JSON next to the checkpoints."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from backend.atomic import atomic_path
from training.run.spec import Run

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("torch", "lightning", "numpy", "scipy", "opencv-contrib-python", "torchmetrics", "h5py", "av")
_FULL_HASH_LIMIT = 64 << 20  # bytes; larger files are hashed by size and 17 samples of 1 MiB


def write_manifest(path: Path, run: Run, facts: dict[str, Any]) -> None:
    """Writes the manifest.  facts: data, devices, samples.  A resumed run lists its earlier starts in `starts`."""
    starts = []
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        starts = [*before.get("starts", []), {key: before.get(key) for key in ("started", "command", "git")}]
    content = {
        "run": run.name,
        "config": dataclasses.asdict(run),
        "seed": run.seed,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "git": git_state(),
        "versions": versions(),
        "hardware": hardware(),
        **facts,
        "starts": starts,
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")


def git_state() -> dict[str, Any]:
    """`commit` and the list of `changed` files; empty outside a clone."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, timeout=30)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
        return {"commit": commit, "changed": git("status", "--porcelain", "-uno").splitlines()} if commit else {}
    except (OSError, subprocess.TimeoutExpired):
        return {}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Host, system, processor, cores and GPUs of this machine."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())] if cuda else [],
        "cuda": torch.version.cuda if cuda else None,
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        return next(line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def file_hashes(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """File name (relative to `root` where below it) -> SHA-256, with `~` before it where only samples were hashed."""
    hashes = {}
    for path in sorted(set(paths)):
        if path.is_file():
            name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
            hashes[name] = _hash(path)
    return hashes


def _hash(path: Path) -> str:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _FULL_HASH_LIMIT:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256(str(size).encode())
        for k in range(17):  # both ends and 15 positions between, 1 MiB each
            file.seek((size - (1 << 20)) * k // 16)
            digest.update(file.read(1 << 20))
    return "~" + digest.hexdigest()
