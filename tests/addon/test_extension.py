"""The extension's zip: its content, Blender's validation, and its use in a fresh profile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from fake_backend import write_png

import backend
from tools import build_extension

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """The zip of `make extension`, accepted by Blender's validator."""
    return build_extension.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def names(archive) -> set[str]:
    with zipfile.ZipFile(archive) as content:
        return set(content.namelist())


def test_every_wheel_is_listed_and_there(names):
    listed = {Path(entry).name for entry in build_extension.manifest()["wheels"]}
    assert {Path(n).name for n in names if n.startswith("wheels/")} == listed


def test_every_platform_and_python_has_both_packages():
    """Exactly one wheel of pyzmq and one of msgpack for each platform and each Python of Blender 4.2 to 5.2."""
    wheels = [build_extension.WHEEL_NAME.fullmatch(Path(e).name) for e in build_extension.manifest()["wheels"]]
    systems = {"linux-x64": "linux", "windows-x64": "win_amd64", "macos-arm64": "arm64", "macos-x64": "x86_64"}
    for platform, mark in systems.items():
        for python in (11, 13, 14):
            for package in ("pyzmq", "msgpack"):
                fits = [
                    w
                    for w in wheels
                    if w["name"] == package
                    and (mark in w["platforms"] or ("macos" in platform and "universal2" in w["platforms"]))
                    and (platform.startswith("macos") == ("macosx" in w["platforms"]))
                    and (w["python"] == f"cp3{python}" or (w["abi"] == "abi3" and python >= int(w["python"][3:])))
                ]
                assert len(fits) == 1, (platform, python, package)


def test_zip_contains_the_code_and_nothing_else(names, archive):
    code = {
        str(p.relative_to(ROOT / "blender_addon")).replace(os.sep, "/") for p in (ROOT / "blender_addon").rglob("*.py")
    }
    assert {n for n in names if n.endswith(".py")} == code
    other = {n for n in names if not n.endswith(".py") and not n.startswith(("wheels/", "backend_wheel/"))}
    assert other == {"blender_manifest.toml", "LICENSE"}
    with zipfile.ZipFile(archive) as content:
        assert content.read("protocol.py") == (ROOT / "backend" / "protocol.py").read_bytes()


def test_backend_wheel(names, archive, tmp_path):
    (wheel,) = [n for n in names if n.startswith("backend_wheel/") and n.endswith(".whl")]
    assert "backend_wheel/constraints.txt" in names
    with zipfile.ZipFile(archive) as content:
        content.extract(wheel, tmp_path)
    with zipfile.ZipFile(tmp_path / wheel) as content:
        inside = set(content.namelist())
    assert {"backend/serving/server.py", "backend/assets/open_body.npz", "blender_addon/protocol.py"} <= inside


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert build_extension.manifest()["version"] == project == backend.__version__


def test_only_relative_imports():
    """The same code is imported as `blender_addon` and as `bl_ext.user_default.recover_mesh`."""
    for path in (ROOT / "blender_addon").rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            stripped = line.strip()
            assert not stripped.startswith(("import blender_addon", "from blender_addon")), path
            assert not stripped.startswith(("import backend", "from backend")), path


def test_installed_in_a_fresh_profile(archive, environment, tmp_path):
    """Install, enable, recover, disable; the process exits by itself and leaves nothing registered or running."""
    photo = write_png(tmp_path / "two.png")
    profile = tmp_path / "profile"
    profile.mkdir()
    script = [sys.executable, str(Path(__file__).with_name("use_extension.py"))]
    done = subprocess.run(
        [*script, str(archive), environment, str(photo)],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(profile)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    report = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("REPORT"))[7:])
    assert report["finished"] and report["ended"] and report["people"] == 2 and report["leftovers"] == []
    assert abs(report["lowest_mm"]) < 1000 and report["simple_drivers"]
    assert report["bundled"] == build_extension.manifest()["version"]
    assert Path(report["folder"]).is_relative_to(profile)
