"""Install Backend without Blender: the environment that it makes, and its clean-up after errors and cancels.

A small fake wheel replaces the backend's, so that nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from blender_addon.backend import install as backend_install
from blender_addon.backend import process as backend_process
from blender_addon.backend.install import Installation
from blender_addon.errors import UserError

TIMEOUT = 240.0  # seconds; the machine may be slow


@pytest.fixture
def wheel(tmp_path) -> str:
    """Path of a wheel with the backend's name and empty modules."""
    path = tmp_path / "recover_mesh-9.8.7-py3-none-any.whl"
    info = "recover_mesh-9.8.7.dist-info"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("backend/__init__.py", "__version__ = '9.8.7'\n")
        content.writestr("torch.py", "")
        content.writestr("mediapipe.py", "")
        content.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: recover-mesh\nVersion: 9.8.7\n")
        content.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        content.writestr(f"{info}/RECORD", "")
    return str(path)


@pytest.fixture(scope="module")
def copier(tmp_path_factory) -> str:
    """Path of a Python whose `venv` copies an environment, in a tenth of the time that the real one takes for pip."""
    folder = tmp_path_factory.mktemp("copier")
    template, python = folder / "template", folder / "python"
    subprocess.run([sys.executable, "-m", "venv", str(template)], check=True)
    python.write_text(
        "#!/bin/sh\n"
        f"""if [ "$1 $2" = "-m venv" ]; then exec cp -a '{template}' "$3"; fi\n"""
        f"""exec '{sys.executable}' "$@"\n"""
    )
    python.chmod(0o755)
    return str(python)


@pytest.fixture
def quick(request, monkeypatch) -> None:
    """Environments are copied by `copier`, on systems with a shell."""
    if os.name == "posix":
        monkeypatch.setattr(sys, "executable", request.getfixturevalue("copier"))


def finish(installation: Installation) -> Installation:
    installation.join(TIMEOUT)
    assert not installation.running
    return installation


def made(folder: Path) -> bool:
    return Path(backend_process.private_environment(str(folder))).exists()


def test_install(wheel, tmp_path):
    """With the real `venv`; the other tests copy an environment."""
    folder = tmp_path / "user folder ä"
    with pytest.raises(UserError, match="not installed"):
        backend_process.find_python("", str(folder))
    done = finish(Installation(str(folder), wheel, ()))
    assert done.error is None and done.fraction == 1.0
    assert backend_process.installed_version(str(folder)) == "9.8.7"
    python = backend_process.find_python("", str(folder))
    printed = subprocess.run(
        [python, "-P", "-c", "import backend; print(backend.__file__)"],
        capture_output=True,
        text=True,
        env=backend_process.clean_environment(),
    )
    assert str(folder) in printed.stdout
    assert "recover_mesh-9.8.7" in Path(done.log_path).read_text(encoding="utf-8")


def test_constraints_are_passed_to_pip(quick, wheel, tmp_path):
    """pip installs the versions in constraints.txt next to the wheel."""
    Path(wheel).with_name("constraints.txt").write_text("recover-mesh==1.0.0\n")
    done = finish(Installation(str(tmp_path / "folder"), wheel, ()))
    assert "recover-mesh==1.0.0" in Path(done.log_path).read_text() and done.error is not None


def test_install_again_replaces(quick, wheel, tmp_path):
    finish(Installation(str(tmp_path), wheel, ()))
    stale = Path(backend_process.private_environment(str(tmp_path)), "stale")
    stale.touch()
    assert finish(Installation(str(tmp_path), wheel, ())).error is None
    assert not stale.exists() and backend_process.installed_version(str(tmp_path)) == "9.8.7"


def test_failure_leaves_nothing(quick, wheel, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    done = finish(Installation(str(tmp_path), wheel, ("no-such-package~=1.0",)))
    assert "no-such-package" in str(done.error) and "install.log" in str(done.error)
    assert not made(tmp_path)


def test_wheel_that_does_not_start(quick, wheel, tmp_path):
    broken = tmp_path / "broken" / "recover_mesh-9.8.7-py3-none-any.whl"
    broken.parent.mkdir()
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(broken, "w") as target:
        for name in source.namelist():
            if name != "torch.py":
                target.writestr(name, source.read(name))
    done = finish(Installation(str(tmp_path), str(broken), ()))
    assert "does not start" in str(done.error) and "torch" in str(done.error)
    assert not made(tmp_path)


def test_cancel_kills_everything(quick, wheel, tmp_path, monkeypatch):
    """pip waits for an index that never answers; cancel kills it and removes the incomplete environment."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "3600")
        monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
        installation = Installation(str(tmp_path), wheel, ("no-such-package~=1.0",))
        silent.settimeout(TIMEOUT)
        connection, _ = silent.accept()  # pip is running
        child = installation._process
        installation.cancel()
        finish(installation)
        connection.close()
    assert installation.cancelled and installation.error is None
    assert child.poll() is not None
    assert not made(tmp_path)


def test_checkout_has_no_bundled_wheel(tmp_path):
    done = finish(Installation(str(tmp_path)))
    assert "bundles no backend" in str(done.error) and not made(tmp_path)


def test_no_python_anywhere(quick, wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(backend_install, "candidates", lambda: iter([[sys.executable + "-absent"]]))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    done = finish(Installation(str(tmp_path), wheel, ()))
    assert "No Python 3.11 or 3.12 was found" in str(done.error) and "python.org" in str(done.error)
    assert not made(tmp_path)


def test_unsupported_python_is_skipped(quick, wheel, tmp_path, monkeypatch):
    """A Python of another version is probed, and the next one used."""
    other = tmp_path / "python3.13"
    other.write_text("#!/bin/sh\necho 3 13 True\n")
    other.chmod(0o755)
    monkeypatch.setattr(backend_install, "candidates", lambda: iter([[str(other)], [sys.executable]]))
    assert finish(Installation(str(tmp_path / "folder"), wheel, ())).error is None


def test_marker_makes_an_environment_complete(quick, wheel, tmp_path):
    finish(Installation(str(tmp_path), wheel, ()))
    Path(backend_process.private_environment(str(tmp_path)), backend_process.MARKER).unlink()
    with pytest.raises(UserError, match="not installed"):
        backend_process.find_python("", str(tmp_path))


@pytest.mark.parametrize("name", ["bin/python", "Scripts/python.exe", "python.exe"])
def test_environment_python(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert Path(backend_process.environment_python(str(tmp_path))) == tmp_path / name
    assert backend_process.environment_python(str(tmp_path / name)) == str(tmp_path / name)
    assert backend_process.environment_python(str(tmp_path / "absent")) is None


def test_clean_environment(monkeypatch):
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_INDEX_URL", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "x")
    kept = backend_process.clean_environment()
    assert not {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"} & set(kept)
    assert {"PIP_INDEX_URL", "HTTPS_PROXY"} <= set(kept)
