"""`--goldens DIR`: where the numbers of the original implementations are."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # fake_smpl and its neighbours import each other by plain names


def pytest_addoption(parser):
    parser.addoption(
        "--goldens", type=Path, default=HERE / "goldens", help="folder of golden_*.npz and keys_*.json"
    )


def pytest_generate_tests(metafunc):
    if "golden" in metafunc.fixturenames:
        from networks import goldens

        paths = goldens(metafunc.config)
        if not paths:
            raise pytest.UsageError("--goldens: the folder holds no network goldens")
        metafunc.parametrize("golden", paths, ids=[f"{p.parent.parent.name}-{p.stem}" for p in paths])


@pytest.fixture(scope="session")
def imported(tmp_path_factory):
    """golden -> its network, fresh from weights that were imported once per session."""
    from networks import load_golden, network_name

    from backend.models.weights import load_network

    homes: dict[Path, Path] = {}

    def load(golden):
        with pytest.MonkeyPatch.context() as patch:
            if golden not in homes:
                homes[golden] = tmp_path_factory.mktemp(golden.stem)
                patch.setenv("RECOVER_MESH_HOME", str(homes[golden] / "home"))
                load_golden(golden, homes[golden])
                shutil.rmtree(homes[golden] / "official")
            patch.setenv("RECOVER_MESH_HOME", str(homes[golden] / "home"))
            return load_network(network_name(golden))

    return load


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Imports go into a folder of their own."""
    monkeypatch.setenv("RECOVER_MESH_HOME", str(tmp_path / "home"))
    return tmp_path
