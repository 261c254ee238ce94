"""Golden numbers of the original implementations, and the fakes of the parity tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

PARITY = Path(__file__).parents[1] / "parity"
if str(PARITY) not in sys.path:
    sys.path.insert(0, str(PARITY))  # fake_smpl and others there import each other by plain names


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    """Folders of bodies and weights, runs and data below `tmp_path`."""
    for variable, name in (("HOME", "home"), ("RUNS", "runs"), ("DATA", "data")):
        monkeypatch.setenv(f"RECOVER_MESH_{variable}", str(tmp_path / name))
    return tmp_path


@pytest.fixture
def golden():
    """(family, file stem) -> arrays by name."""

    def read(family: str, stem: str) -> dict[str, np.ndarray]:
        path = PARITY / "goldens" / family / f"{stem}.npz"
        if not path.is_file():  # one array
            return {stem: np.load(path.with_suffix(".npy"), allow_pickle=False)}
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    return read


@pytest.fixture
def tensors(golden):
    """(family, file stem) -> tensors by name."""
    return lambda *which: {k: torch.as_tensor(v) for k, v in golden(*which).items() if v.dtype.kind in "fiub"}


@pytest.fixture
def keys():
    """(family, variant) -> (name, shape, dtype) of every tensor of an official checkpoint."""

    def read(family: str, variant: str) -> list[tuple[str, list[int], str]]:
        entries = json.loads((PARITY / "goldens" / family / f"keys_{variant}.json").read_text())
        return [tuple(entry) for entry in entries]

    return read
