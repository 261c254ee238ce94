"""Atomic writing: errors and killed processes leave no partial file."""

import errno
import signal
import subprocess
import sys

import pytest

from backend.atomic import atomic_path, remove_unfinished
from backend.errors import RecoverMeshError


def test_the_folder_is_created_and_contains_only_the_file(tmp_path):
    path = tmp_path / "new" / "one.npz"
    with atomic_path(path) as temporary:
        assert temporary.suffix == ".npz" and not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "raised", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), RecoverMeshError, "disk_full"),
        (OSError(errno.EROFS, "Read-only file system"), RecoverMeshError, "unwritable"),
        (ValueError("a mistake"), ValueError, None),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_a_failure_leaves_the_old_file_alone(tmp_path, error, raised, code):
    path = tmp_path / "one.txt"
    path.write_text("old")
    with pytest.raises(raised) as caught, atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error
    assert getattr(caught.value, "code", None) == code
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_caller_can_name_the_error(tmp_path):
    def failed(path, error):
        return RecoverMeshError("mine", f"{path.name}: {error.strerror}")

    (tmp_path / "taken").mkdir()
    raises = pytest.raises(RecoverMeshError, match="taken: Is a directory")
    with raises as caught, atomic_path(tmp_path / "taken", failed) as temporary:
        temporary.write_text("whole")
    assert caught.value.code == "mine"


def test_a_killed_process_leaves_only_a_temporary_folder(tmp_path):
    path = tmp_path / "one.txt"
    path.write_text("old")
    code = "import os, sys, signal; from pathlib import Path; from backend.atomic import atomic_path\n"
    code += f"with atomic_path(Path({str(path)!r})) as temporary:\n"
    code += "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert list(tmp_path.glob("*.txt")) == [path] and path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == [path]
