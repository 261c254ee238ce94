"""The registry of data sets: each declares its files, without importing torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from backend.errors import BadInput
from training.datasets import tiny
from training.datasets.registry import DATASETS, build_dataset
from training.run.requirements import required_files
from training.run.spec import SetSpec


@pytest.mark.parametrize("kind", [kind for kind in tiny.KINDS if not kind.startswith("tsv_")])
def test_declared_files_exist_and_are_opened(kind, tmp_path):
    options = tiny.write(kind, tmp_path / "set")
    options.pop("kind")
    files = required_files(SetSpec(kind, options), {"input": "detected"})
    existing = [path for file in files for path in Path("/").glob(file.lstrip("/"))]
    assert len(existing) >= len(files) >= 1
    assert len(build_dataset({"kind": kind, **options}))
    for path in existing:
        if path.name.startswith(("absnet", "darkpose", "hrnet")):
            continue  # detections are optional
        moved = tmp_path / "moved"
        path.rename(moved)
        with pytest.raises(BadInput):
            build_dataset({"kind": kind, **options})
        moved.rename(path)


def test_every_kind_has_a_tiny_data_set():
    assert set(DATASETS) - {"mix", "concatenation", "synthetic"} == {k for k in tiny.KINDS if "tsv_" not in k}


def test_an_unknown_kind_is_an_error():
    with pytest.raises(BadInput, match="no kind of data set 'human'"):
        required_files(SetSpec("human"), {})


def test_listing_files_does_not_import_torch():
    code = (
        "import sys; from training.datasets.registry import DATASETS, dataset_class\n"
        "for kind in DATASETS: dataset_class(kind)\n"
        "sys.exit(', '.join({'torch', 'lightning'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
