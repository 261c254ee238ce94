"""A run that is killed or preempted and resumed ends bit for bit as an uninterrupted one."""

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
    actual, expected = weights(out), weights(whole)
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)
    ours, theirs = read_log(out / "log.jsonl"), read_log(whole / "log.jsonl")
    # a step that was killed between its checkpoint and its log line has no line
    assert ours["loss"].items() <= theirs["loss"].items()
    assert len(ours["loss"]) >= len(theirs["loss"]) - 2
    assert ours["toy/MPJPE"] == theirs["toy/MPJPE"]


# in the first epoch; right after a checkpoint; after a learning rate step; in the last step of an epoch; right after it
@pytest.mark.parametrize("step", [2, 6, 26, 22, 23])
def test_resume_after_a_kill_at_any_step(whole, tmp_path, step):
    assert start(str(tmp_path), "--kill-after", str(step)) == -signal.SIGKILL
    assert start(str(tmp_path), "--resume") == 0
    assert_same(tmp_path, whole)


def test_resume_after_two_kills_with_workers(whole, tmp_path):
    workers = ("--workers", "1")
    assert start(str(tmp_path), "--kill-after", "8", *workers) == -signal.SIGKILL
    assert start(str(tmp_path), "--resume", "--kill-after", "17", *workers) == -signal.SIGKILL
    assert start(str(tmp_path), "--resume", *workers) == 0
    assert_same(tmp_path, whole)


def test_resume_after_preemption(whole, tmp_path):
    stop = ("--kill-after", "15", "--send", str(int(signal.SIGTERM)))
    assert start(str(tmp_path), *stop) == PREEMPTED
    checkpoint = latest_checkpoint(tmp_path / "checkpoints")
    assert checkpoint is not None and checkpoint.name == "step-00000016.ckpt"  # not a multiple of 3
    assert start(str(tmp_path), "--resume") == 0
    assert_same(tmp_path, whole)


def test_an_incomplete_checkpoint_is_ignored(whole, tmp_path):
    assert start(str(tmp_path), "--kill-after", "8") == -signal.SIGKILL
    left = tmp_path / "checkpoints" / ".part-killed"  # as a kill leaves it
    left.mkdir()
    (left / "step-00000099.ckpt").write_bytes(b"cut off")
    assert start(str(tmp_path), "--resume") == 0
    assert not left.exists()
    assert_same(tmp_path, whole)


def test_another_dropout_changes_the_weights(whole, tmp_path):
    """Shows that these tests can fail."""
    assert start(str(tmp_path), "--dropout", "0.31") == 0
    with pytest.raises(AssertionError):
        assert_same(tmp_path, whole)
