"""The registry of data sets: each declares the files that a copy has, and none needs torch for it."""

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
def test_declared_files_are_those_that_a_copy_has_and_that_are_opened(kind, tmp_path):
    options = tiny.write(kind, tmp_path / "set")
    options.pop("kind")
    files = required_files(SetSpec(kind, options), {"input": "detected"})
    found = [path for file in files for path in Path("/").glob(file.lstrip("/"))]
    assert len(found) >= len(files) >= 1
    assert len(build_dataset({"kind": kind, **options}))
    for path in found:
        if path.name.startswith(("absnet", "darkpose", "hrnet")):
            continue  # of detected poses: a copy without them is one too
        moved = tmp_path / "moved"
        path.rename(moved)
        with pytest.raises(BadInput):
            build_dataset({"kind": kind, **options})
        moved.rename(path)


def test_every_kind_can_be_tried_without_its_data():
    assert set(DATASETS) - {"mix", "concatenation", "synthetic"} == {k for k in tiny.KINDS if "tsv_" not in k}


def test_an_unknown_kind_is_named():
    with pytest.raises(BadInput, match="no kind of data set 'human'"):
        required_files(SetSpec("human"), {})


def test_no_set_needs_torch_to_say_what_it_reads():
    code = (
        "import sys; from training.datasets.registry import DATASETS, dataset_class\n"
        "for kind in DATASETS: dataset_class(kind)\n"
        "sys.exit(', '.join({'torch', 'lightning'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
