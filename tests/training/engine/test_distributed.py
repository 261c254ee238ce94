"""Two processes under torchrun equal one process with the same global batch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from toy_run import start

from training.engine.checkpoints import PREEMPTED, latest_checkpoint

ROOT = Path(__file__).resolve().parents[3]
TOY = Path(__file__).with_name("toy_run.py")


def run(out: Path, processes: int, *arguments: str, good: bool = True) -> tuple[dict[str, np.ndarray], list[dict]]:
    """Weights and log lines of a toy run.  good: whether it should succeed; else both are empty."""
    toy = [str(out), "--dropout", "0", *arguments]
    if processes == 1:
        assert start(*toy) == 0
    else:
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *torchrun, str(TOY), *toy]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        assert (done.returncode == 0) == good, done.stderr[-3000:]
        if not good:
            assert str(PREEMPTED) in done.stderr
            return {}, []
    with np.load(out / "weights.npz") as stored:
        weights = {name: stored[name] for name in stored.files}
    return weights, [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    # 44 rows: the last global batch of an epoch is not full
    two, two_log = run(tmp_path / "two", 2, "--batch", "4", "--devices", "2")
    one, one_log = run(tmp_path / "one", 1, "--batch", "8", "--devices", "1")
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, atol=2e-6, err_msg=name)
    assert len(one_log) == len(two_log)
    # validation sees every row once, in either case
    metrics = [[line["toy/MPJPE"] for line in log if "toy/MPJPE" in line] for log in (two_log, one_log)]
    np.testing.assert_allclose(*metrics, rtol=1e-4)


def test_accumulation_keeps_the_published_batch(tmp_path):
    """One device with two batches per step equals the two devices of the published run, short last step included."""
    half, _ = run(tmp_path / "half", 1, "--batch", "4", "--devices", "2")
    one, _ = run(tmp_path / "one", 1, "--batch", "8", "--devices", "1")
    for name, value in one.items():
        np.testing.assert_allclose(half[name], value, atol=2e-6, err_msg=name)


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_stops_both(tmp_path):
    """They stop after the same step, and resume to the uninterrupted run's weights."""
    arguments = ("--batch", "4", "--devices", "2")
    whole, _ = run(tmp_path / "whole", 2, *arguments)
    stop = ("--kill-after", "5", "--send", str(int(signal.SIGTERM)))
    run(tmp_path / "out", 2, *arguments, *stop, good=False)
    checkpoint = latest_checkpoint(tmp_path / "out" / "checkpoints")
    assert checkpoint is not None and checkpoint.name in ("step-00000006.ckpt", "step-00000010.ckpt")
    again, _ = run(tmp_path / "out", 2, *arguments, "--resume")
    for name, value in whole.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)
