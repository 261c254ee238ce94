"""The option `--goldens DIR`: folder of the original implementations' outputs."""

from __future__ import annotations

import copy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# the smallest network of each family; the others are marked slow
QUICK = ("body_s_r50", "smpler_w32", "mano")
sys.path.insert(0, str(HERE))  # fake_smpl and its neighbours import each other by plain names


def pytest_addoption(parser):
    parser.addoption("--goldens", type=Path, default=HERE / "goldens", help="folder of golden_*.npz and keys_*.json")


def pytest_generate_tests(metafunc):
    if "golden" in metafunc.fixturenames:
        from networks import goldens, meta

        paths = goldens(metafunc.config)
        if not paths:
            raise pytest.UsageError("--goldens: the folder contains no network goldens")
        marks = [() if meta(path).variant in QUICK else pytest.mark.slow for path in paths]
        metafunc.parametrize(
            "golden",
            [pytest.param(path, marks=mark) for path, mark in zip(paths, marks, strict=True)],
            ids=[f"{p.parent.parent.name}-{p.stem}" for p in paths],
        )


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """golden -> a copy of its network.  The last network is cached, so that equal requests import it once."""
    from networks import load_golden

    cached = {}

    def load(golden):
        if golden not in cached:
            cached.clear()  # one network of up to 600 MB
            folder = tmp_path_factory.mktemp(golden.stem)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("RECOVER_MESH_HOME", str(folder / "home"))
                cached[golden] = load_golden(golden, folder)
            shutil.rmtree(folder)
        return replace(cached[golden], module=copy.deepcopy(cached[golden].module))

    return load


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty home for imported weights and bodies."""
    monkeypatch.setenv("RECOVER_MESH_HOME", str(tmp_path / "home"))
    return tmp_path
