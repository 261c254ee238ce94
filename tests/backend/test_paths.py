"""The user's folders on each operating system."""

import os
import sys
from pathlib import Path

import pytest

from backend import paths
from backend.errors import RecoverMeshError


@pytest.fixture
def user(tmp_path, monkeypatch):
    """An empty home folder; no environment variable names another."""
    for name in (paths.HOME_VARIABLE, "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="Linux's folders")
def test_the_folders_on_linux(user, monkeypatch):
    assert paths.data_dir() == user / ".local/share/recover-mesh"
    assert paths.cache_dir() == user / ".cache/recover-mesh"
    monkeypatch.setenv("XDG_DATA_HOME", str(user / "d"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(user / "c"))
    assert paths.data_dir() == user / "d/recover-mesh"
    assert paths.cache_dir() == user / "c/recover-mesh"


def test_the_folders_on_a_mac(user, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("XDG_DATA_HOME", str(user / "d"))
    assert paths._base("data") == user / "Library/Application Support/recover-mesh"
    assert paths._base("cache") == user / "Library/Caches/recover-mesh"


def test_the_folders_on_windows(user, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(user / "Local"))
    assert paths._base("data") == user / "Local/recover-mesh/data"
    assert paths._base("cache") == user / "Local/recover-mesh/cache"


def test_the_environment_variable_has_priority(user, monkeypatch):
    monkeypatch.setenv(paths.HOME_VARIABLE, str(user / "mine"))
    assert paths.data_dir() == user / "mine/data" and paths.cache_dir() == user / "mine/cache"
    assert paths.data_dir().is_dir()


def test_a_folder_that_cannot_be_created(user, monkeypatch):
    Path(user / "file").write_text("")
    monkeypatch.setenv(paths.HOME_VARIABLE, os.fspath(user / "file"))
    with pytest.raises(RecoverMeshError, match=paths.HOME_VARIABLE) as caught:
        paths.data_dir()
    assert caught.value.code == "unwritable"
