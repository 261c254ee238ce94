"""Build dist/recover_mesh-VERSION.zip: what Blender installs from disk.

blender_addon/, the manifest and LICENSE are staged in one folder, with the wheels that the manifest lists (for
Blender's Python, of every platform) and the backend's wheel (which Install Backend installs out of process).
Blender's validator, from the bpy package, checks the folder and the zip.  Works on Linux, Windows and macOS.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "blender_manifest.toml"
CACHE = ROOT / ".cache" / "wheels"
DIST = ROOT / "dist"
WHEEL_NAME = re.compile(
    r"(?P<name>[^-]+)-(?P<version>[^-]+)-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platforms>[^-]+)\.whl"
)


class BuildError(Exception):
    """A build error with a message for the user."""


def manifest() -> dict:
    """The content of blender_manifest.toml."""
    return tomllib.loads(MANIFEST.read_text(encoding="utf-8"))


def check_version(data: dict) -> str:
    """The manifest's version.  BuildError: it differs from pyproject.toml's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if data["version"] != project:
        raise BuildError(f"{MANIFEST.name} has version {data['version']}, pyproject.toml {project}.")
    return project


def fetch_wheels(data: dict, cache: Path = CACHE) -> list[Path]:
    """The wheels that the manifest lists, from the cache or the package index."""
    cache.mkdir(parents=True, exist_ok=True)
    wheels = [cache / Path(entry).name for entry in data["wheels"]]
    for wheel in wheels:
        if not wheel.is_file():
            _download(wheel)
    return wheels


def _download(wheel: Path) -> None:
    found = WHEEL_NAME.fullmatch(wheel.name)
    if found is None:
        raise BuildError(f"{wheel.name} is not a wheel's file name: correct `wheels` in {MANIFEST.name}.")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--dest", str(wheel.parent)]
    command += ["--python-version", found["python"].removeprefix("cp"), "--abi", found["abi"]]
    for platform in found["platforms"].split("."):
        command += ["--platform", platform]
    print(f"Fetching {wheel.name}", flush=True)
    done = subprocess.run([*command, f"{found['name']}=={found['version']}"], capture_output=True, text=True)
    if done.returncode or not wheel.is_file():
        raise BuildError(f"{wheel.name} could not be fetched:\n{done.stdout}{done.stderr}")


def build_backend_wheel(target: Path) -> Path:
    """Path of recover-mesh's wheel, built into `target`."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(target.glob("recover_mesh-*.whl"))
    if done.returncode or len(wheels) != 1:
        raise BuildError(f"The backend's wheel could not be built:\n{done.stdout}{done.stderr}")
    return wheels[0]


# files that backend and add-on share
SHARED = ("protocol.py", "protocol_errors.py", "protocol_messages.py", "protocol_rows.py")


def stage(target: Path, wheels: list[Path]) -> None:
    """Copy the zip's content into `target`."""
    source = ROOT / "blender_addon"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", *SHARED))
    for name in SHARED:  # symbolic links in the checkout; on Windows these may be text files
        shutil.copyfile(ROOT / "backend" / name, target / name)
    for file in (MANIFEST, ROOT / "LICENSE"):
        shutil.copyfile(file, target / file.name)
    (target / "wheels").mkdir()
    for wheel in wheels:
        shutil.copyfile(wheel, target / "wheels" / wheel.name)
    (target / "backend_wheel").mkdir()
    build_backend_wheel(target / "backend_wheel")
    shutil.copyfile(ROOT / "constraints.txt", target / "backend_wheel" / "constraints.txt")


def blender_tool() -> tuple[Path, Path]:
    """Paths of Blender's extension command and its list of tags in the bpy package, which is not imported."""
    spec = importlib.util.find_spec("bpy")
    if spec is None or spec.origin is None:
        raise BuildError("The package bpy is missing; it brings Blender's validator. Install: pip install .[blender]")
    scripts = next(Path(spec.origin).parent.glob("*/scripts"), None)
    if scripts is None:
        raise BuildError(f"There are no scripts in {Path(spec.origin).parent}.")
    tool = scripts / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
    tags = scripts / "modules" / "_bpy_internal" / "extensions" / "tags.py"
    return tool, tags


def run_tool(*arguments: str) -> None:
    """Run Blender's extension command.  BuildError: it fails."""
    tool, tags = blender_tool()
    command = [sys.executable, str(tool), *arguments, f"--valid-tags={tags}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"Blender's extension command failed ({arguments[0]}):\n{done.stdout}{done.stderr}")


def build(output: Path = DIST, cache: Path = CACHE) -> Path:
    """Build the extension; returns the zip's path."""
    data = manifest()
    version = check_version(data)
    wheels = fetch_wheels(data, cache)
    output.mkdir(parents=True, exist_ok=True)
    archive = output / f"{data['id']}-{version}.zip"
    with tempfile.TemporaryDirectory(prefix="recover-mesh-stage-") as folder:
        target = Path(folder) / data["id"]
        stage(target, wheels)
        run_tool("validate", str(target))
        run_tool("build", "--source-dir", str(target), "--output-filepath", str(archive))
    run_tool("validate", str(archive))
    return archive


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=DIST, help="folder of the zip (dist)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of downloaded wheels")
    args = parser.parse_args()
    try:
        archive = build(args.out.resolve(), args.cache.resolve())
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{archive} ({archive.stat().st_size / 1e6:.1f} MB), accepted by Blender's validator")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
