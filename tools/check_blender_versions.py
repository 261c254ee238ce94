"""`make test-blender`: the zip in other versions of bpy: install, enable, recover, disable, clean exit.

usage: check_blender_versions.py VERSION…   Each version has its own virtual environment, .venv-bpy-VERSION.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def environment(version: str) -> Path:
    """Python interpreter with bpy of this version; the environment is created when missing."""
    folder = ROOT / f".venv-bpy-{version}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = folder / ".ready"
    if not ready.exists():
        print(f"Installing bpy {version}", flush=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", f"bpy=={version}"], check=True)
        ready.touch()
    return python


def check(version: str, archive: Path) -> bool:
    """Whether tests/addon/use_extension.py passes in this version; prints its report."""
    script = ROOT / "tests" / "addon" / "use_extension.py"
    photo = ROOT / "tests" / "data" / "rendered_person.jpg"
    with tempfile.TemporaryDirectory() as profile:
        backend = {**os.environ, "BLENDER_USER_RESOURCES": profile, "RECOVER_MESH_REAL": "1"}
        command: list[str | Path] = [environment(version), script, archive, sys.executable, photo]
        done = subprocess.run(command, env=backend, capture_output=True, text=True, timeout=300)
    line = next((line for line in done.stdout.splitlines() if line.startswith("REPORT ")), None)
    if line is None:
        print(f"bpy {version}: FAILED, exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return False
    report = json.loads(line.removeprefix("REPORT "))
    good = report["finished"] and report["ended"] and not report["leftovers"] and done.returncode == 0
    good = good and report["simple_drivers"] and report["people"] > 0
    print(f"bpy {version}: {'passed' if good else 'FAILED'}, exit code {done.returncode}, {report}", flush=True)
    return good


def main() -> int:
    archive = max((ROOT / "dist").glob("recover_mesh-*.zip"), key=lambda path: path.stat().st_mtime)
    results = [check(version, archive) for version in sys.argv[1:]]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return int(not all(results))


if __name__ == "__main__":
    raise SystemExit(main())
