"""Checkpoint files: what is read, what is refused, and the report of tensors that do not fit."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from backend.errors import BadInput
from backend.models.checkpoints import load_tensors, read_checkpoint


class Touch:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrapper", [None, "model", "state_dict", "model_state_dict"])
def test_state_dicts_are_unwrapped(tmp_path, wrapper, old):
    tensors = {"module.a.weight": torch.ones(2, 3), "module.a.bias": torch.zeros(2)}
    content = tensors if wrapper is None else {wrapper: tensors, "epoch": 3, "log": {"x": [np.float64(1.5)]}}
    torch.save(content, tmp_path / "file.pt", _use_new_zipfile_serialization=not old)
    read = read_checkpoint(tmp_path / "file.pt")
    assert list(read) == ["a.weight", "a.bias"]
    assert torch.equal(read["a.weight"], torch.ones(2, 3))


def test_safetensors_are_read(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.arange(3.0)}, tmp_path / "file.safetensors")
    assert torch.equal(read_checkpoint(tmp_path / "file.safetensors")["a"], torch.arange(3.0))


@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
def test_a_file_with_code_is_refused_and_not_executed(tmp_path, old):
    content = {"model": {"a": torch.ones(1)}, "extra": Touch(tmp_path / "ran")}
    torch.save(content, tmp_path / "file.pt", _use_new_zipfile_serialization=not old)
    with pytest.raises(BadInput, check=lambda error: error.code == "refused_pickle"):
        read_checkpoint(tmp_path / "file.pt")
    assert not (tmp_path / "ran").exists()


def test_a_plain_pickle_with_code_is_not_executed(tmp_path):
    (tmp_path / "file.bin").write_bytes(pickle.dumps(Touch(tmp_path / "ran")))
    with pytest.raises(BadInput):
        read_checkpoint(tmp_path / "file.bin")
    assert not (tmp_path / "ran").exists()


def test_a_pickled_module_is_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "file.pt")
    with pytest.raises(BadInput, check=lambda error: error.code == "refused_pickle") as caught:
        read_checkpoint(tmp_path / "file.pt")
    assert "state_dict" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04 cut off"])
def test_corrupt_files_are_named(tmp_path, content):
    (tmp_path / "broken.pt").write_bytes(content)
    with pytest.raises(BadInput, match=r"broken\.pt", check=lambda error: error.code == "not_a_checkpoint"):
        read_checkpoint(tmp_path / "broken.pt")


def test_a_missing_file_and_one_without_tensors(tmp_path):
    with pytest.raises(BadInput, check=lambda error: error.code == "file_missing"):
        read_checkpoint(tmp_path / "nothing.pt")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(BadInput, match="no tensors"):
        read_checkpoint(tmp_path / "empty.pt")


def test_every_difference_is_reported():
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    tensors = dict(module.state_dict())
    del tensors["0.bias"], tensors["1.num_batches_tracked"]
    tensors["0.weight"] = torch.zeros(2, 4)
    tensors["other"] = torch.zeros(1)
    tensors["1.running_mean"] = torch.tensor([0.0, float("nan")])
    with pytest.raises(BadInput) as caught:
        load_tensors(module, tensors, "some.pt")
    message = caught.value.message
    assert "1 missing: 0.bias" in message  # old files lack num_batches_tracked
    assert "1 unexpected: other" in message
    assert "0.weight is 2x4, expected 2x3" in message
    assert "1 with NaN or infinite values: 1.running_mean" in message


def test_matching_tensors_are_loaded():
    module, other = nn.Linear(3, 2), nn.Linear(3, 2)
    load_tensors(module, other.state_dict(), "some.pt")
    assert torch.equal(module.weight, other.weight)
