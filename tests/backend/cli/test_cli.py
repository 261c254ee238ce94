"""`recover-mesh` from its arguments to its output and files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage

from backend.cli import main

DATA = Path(skimage.__file__).parent / "data"


def test_recover_writes_results_under_a_path_with_spaces_and_umlauts(tmp_path, capsys):
    folder = tmp_path / "Fotos für Zoë"
    folder.mkdir()
    photo = folder / "an ästronaut.png"
    shutil.copy(DATA / "astronaut.png", photo)
    assert main(["recover", str(photo), "--out", str(tmp_path / "öut put"), "--export", "npz,obj,overlay"]) == 0
    output = capsys.readouterr().out
    assert "1 person" in output and "reprojection error" in output
    (npz,) = (tmp_path / "öut put").glob("*.npz")
    with np.load(npz, allow_pickle=False) as data:
        assert data["poses"].shape == (1, 72)
        assert data["trans"].shape == (1, 3)
        assert data["camera"].shape == (4,)
    assert len(list((tmp_path / "öut put").glob("*_overlay.png"))) == 1
    assert len(list((tmp_path / "öut put").glob("*.obj"))) == 1


def test_a_photo_without_people_is_reported_and_is_not_a_failure(tmp_path, capsys):
    assert main(["recover", str(DATA / "coffee.png"), "--out", str(tmp_path)]) == 0
    assert "no people found" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_bad_file_does_not_stop_the_others(tmp_path, capsys):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    out = tmp_path / "out"
    assert main(["recover", str(bad), str(DATA / "astronaut.png"), "--out", str(out), "--export", "npz"]) == 1
    output = capsys.readouterr().out
    assert "bad.jpg" in output and "1 of 2 inputs" in output
    assert [p.name for p in out.iterdir() if p.is_file()] == ["astronaut_person1.npz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nonsense"], "no model 'nonsense'"),
        (["--people", "none"], "People cannot be 'none'"),
        (["--export", "npz,stl"], "Cannot export stl"),
    ],
)
def test_wrong_use_is_an_error_message(tmp_path, capsys, arguments, message):
    assert main(["recover", str(DATA / "coffee.png"), "--out", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_output_folder_that_is_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["recover", str(DATA / "coffee.png"), "--out", str(tmp_path / "file" / "sub")]) == 2
    assert "Cannot write to" in capsys.readouterr().err


def test_output_folder_without_permission(tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.name == "posix" and os.geteuid() == 0:
        locked = Path("/sys/recover-mesh")  # not even root may write there
    assert main(["recover", str(DATA / "coffee.png"), "--out", str(locked)]) == 2
    assert "Cannot write to" in capsys.readouterr().err


def test_models_and_bodies_are_listed(capsys):
    assert main(["models"]) == 0
    assert "keypoint-fit" in capsys.readouterr().out
    assert main(["bodies"]) == 0
    assert "open_body" in capsys.readouterr().out


def test_help_needs_no_torch():
    code = (
        "import sys, backend.cli as c; c.build_parser(); sys.exit('torch' in sys.modules or 'mediapipe' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
