"""`python -m training list`: all runs, without torch, with what is missing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from training.__main__ import main
from training.run.requirements import required_files
from training.run.spec import load_run, run_names


def test_every_run_is_listed_with_its_results(empty_home, capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for name in run_names():
        assert f"{name}\n" in text
    assert "Human3.6M (P2) MPJPE 52.96, PA-MPJPE 33.58" in text
    assert "ready" not in text


def test_needs_neither_torch_nor_lightning():
    code = (
        "import sys; from training.__main__ import main; main(['list'])\n"
        "sys.exit(', '.join({'torch', 'lightning', 'cv2'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_missing_files_are_listed_until_the_run_is_ready(empty_home, capsys):
    name = "fastmetro-s-r50-3dpw"
    main(["list", name])
    text = capsys.readouterr().out
    assert "missing data: " in text and "3dpw/train.yaml" in text
    assert "missing start: the weights of fastmetro-s-r50-mixed" in text
    assert "missing body: smpl" in text
    run = load_run(name)
    for spec in run.data.train + run.data.validate:
        for file in required_files(spec, run.data.prepare):
            path = empty_home / "data" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (empty_home / "data/metro/mesh_downsampling.npz").touch()  # named by a setting
    weights = empty_home / "runs/fastmetro-s-r50-mixed/seed-88/weights/fastmetro-s-r50.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    body = empty_home / "home/data/bodies/smpl.npz"
    body.parent.mkdir(parents=True)
    np.savez(body, license=np.array("x"))
    main(["list", name])
    assert "J_regressor_h36m_correct.npy" in capsys.readouterr().out
    np.savez(body, license=np.array("x"), J_regressor_h36m17=np.zeros(1))
    main(["list", name])
    text = capsys.readouterr().out
    assert "ready" in text and "missing" not in text


def test_the_missing_3dpw_regressor_is_listed_by_its_file(empty_home, capsys):
    main(["list", "smpler-3dpw"])
    assert "--name smpl --with J_regressor_h36m_correct.npy J_regressor_3dpw.npy)" in capsys.readouterr().out
    body = empty_home / "home/data/bodies/smpl.npz"
    body.parent.mkdir(parents=True)
    for more, lacking in (({}, True), ({"J_regressor_h36m17_3dpw": np.zeros(1)}, False)):
        np.savez(body, license=np.array("x"), J_regressor_h36m17=np.zeros(1), **more)
        main(["list", "smpler-3dpw"])
        text = capsys.readouterr().out
        assert ("missing body: J_regressor_3dpw.npy of smpl" in text) == lacking
        main(["list", "smpler-mixed"])
        assert "J_regressor" not in capsys.readouterr().out
