"""A run that is killed or preempted and gone on with ends bit for bit where an uninterrupted one does."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from log_lines import read_log
from toy_run import start

from training.engine.checkpoints import PREEMPTED, latest_checkpoint


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The uninterrupted run: 3 epochs of 11 steps, checkpoints every 3."""
    out = tmp_path_factory.mktemp("whole")
    assert start(str(out)) == 0
    return out


def weights(out: Path) -> dict[str, np.ndarray]:
    with np.load(out / "weights.npz") as stored:
        return {name: stored[name] for name in stored.files}


def assert_same(out: Path, whole: Path) -> None:
    found, expected = weights(out), weights(whole)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    ours, theirs = read_log(out / "log.jsonl"), read_log(whole / "log.jsonl")
    # the line of a step that was killed after its checkpoint and before its line is lost
    assert ours["loss"].items() <= theirs["loss"].items()
    assert len(ours["loss"]) >= len(theirs["loss"]) - 2
    assert ours["toy/MPJPE"] == theirs["toy/MPJPE"]


# in the first epoch; right after a checkpoint; with the rate changed; in the last step of an epoch; right after it
@pytest.mark.parametrize("step", [2, 6, 26, 22, 23])
def test_killed_anywhere(whole, tmp_path, step):
    assert start(str(tmp_path), "--kill-after", str(step)) == -signal.SIGKILL
    assert start(str(tmp_path), "--resume") == 0
    assert_same(tmp_path, whole)


def test_killed_twice_with_workers(whole, tmp_path):
    workers = ("--workers", "1")
    assert start(str(tmp_path), "--kill-after", "8", *workers) == -signal.SIGKILL
    assert start(str(tmp_path), "--resume", "--kill-after", "17", *workers) == -signal.SIGKILL
    assert start(str(tmp_path), "--resume", *workers) == 0
    assert_same(tmp_path, whole)


def test_preempted_in_time(whole, tmp_path):
    told = ("--kill-after", "15", "--send", str(int(signal.SIGTERM)))
    assert start(str(tmp_path), *told) == PREEMPTED
    checkpoint = latest_checkpoint(tmp_path / "checkpoints")
    assert checkpoint is not None and checkpoint.name == "step-00000016.ckpt"  # not a multiple of 3
    assert start(str(tmp_path), "--resume") == 0
    assert_same(tmp_path, whole)


def test_a_half_written_checkpoint_does_not_count(whole, tmp_path):
    assert start(str(tmp_path), "--kill-after", "8") == -signal.SIGKILL
    left = tmp_path / "checkpoints" / ".part-killed"  # as a kill leaves it
    left.mkdir()
    (left / "step-00000099.ckpt").write_bytes(b"cut off")
    assert start(str(tmp_path), "--resume") == 0
    assert not left.exists()
    assert_same(tmp_path, whole)


def test_the_test_can_fail(whole, tmp_path):
    """Another seed of the noise inside the network is seen."""
    assert start(str(tmp_path), "--dropout", "0.31") == 0
    with pytest.raises(AssertionError):
        assert_same(tmp_path, whole)
