"""Batches have the same bits with any number of workers, after interruptions, and sharded."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from loader_fakes import Numbers, make_loader, prepare

import training
from backend.errors import BadInput
from training.datasets.loader import PreparedDataset, ResumableLoader
from training.datasets.mixture import RandomMix
from training.datasets.sampler import GlobalBatches


def _bits(loader, epochs=1):
    """The bits of every batch."""
    return [batch["x"].numpy().tobytes().hex() for _ in range(epochs) for batch in loader]


def test_workers_do_not_change_batches():
    assert _bits(make_loader(workers=0), 2) == _bits(make_loader(workers=2), 2)


def test_noise_differs_between_epochs_and_rows():
    loader = make_loader(workers=0)
    epochs = []
    for _ in range(2):
        items = [(int(r), x) for b in loader for r, x in zip(b["row"], b["x"], strict=True)]
        epochs.append({row: (x - row).numpy() for row, x in items})
    noise = np.array([list(e.values()) for e in epochs]).reshape(-1, 3)
    assert len(np.unique(noise.round(6), axis=0)) == 80
    assert not np.allclose(epochs[0][7], epochs[1][7])


def test_two_processes_equal_one_with_twice_the_batch():
    one = list(make_loader(workers=0, batch=8))
    halves = [list(make_loader(workers=0, batch=4, rank=r, world=2)) for r in (0, 1)]
    for whole, *parts in zip(one, *halves, strict=True):
        assert torch.equal(whole["x"], torch.cat([p["x"] for p in parts]))


@pytest.mark.parametrize("stop", [1, 9, 10, 14])
def test_a_loaded_state_resumes_at_the_next_batch(stop):
    whole = _bits(make_loader(workers=0), 3)
    first = make_loader(workers=2)
    seen = _bits(itertools.islice(itertools.chain(first, first), stop))
    second = make_loader(workers=2)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    while len(seen) < 30:
        seen += _bits(second)
    assert seen == whole


def test_killed_in_mid_epoch_and_resumed(tmp_path):
    """After SIGKILL, as at preemption, the batches before and after are the uninterrupted sequence."""
    state, log = tmp_path / "state.json", tmp_path / "log"
    script = Path(__file__).with_name("loader_fakes.py")
    paths = os.pathsep.join([str(Path(training.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, str(script), str(state), str(log)], env={**os.environ, "PYTHONPATH": paths}
    )
    try:
        while not log.exists() or log.read_text().count("\n") < 13:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    saved = json.loads(state.read_text())
    trained = log.read_text().split("\n")[:-1]
    done = saved["epoch"] * 10 + saved["done"]
    assert 13 <= done < 30 and len(trained) - done in (0, 1)  # killed between the line and the state at worst
    loader = make_loader(workers=2)
    loader.load_state_dict(saved)
    rest = []
    while done + len(rest) < 30:
        rest += _bits(loader)
    assert trained[:done] + rest == _bits(make_loader(workers=0), 3)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_row_raises_bad_input_from_workers(workers):
    records = Numbers(8, broken=(6,))
    loader = ResumableLoader(PreparedDataset(records, prepare), GlobalBatches(8, 2, shuffle=False), workers)
    with pytest.raises(BadInput, match="numbers, row 6: betas contains NaN or infinite values"):
        list(loader)
    assert loader.progress.done == 3


def test_no_generator_in_evaluation_and_mixtures_draw_by_epoch():
    plain = PreparedDataset(Numbers(4), prepare, augment=False)
    assert plain[3]["x"].tolist() == [3.0, 3.0, 3.0]
    mix = PreparedDataset(RandomMix([Numbers(20, "a"), Numbers(9, "b")]), prepare, augment=False)
    batches = GlobalBatches(40, 4, seed=2)
    epochs = [[int(mix[d]["row"]) for b in batches.batches(e) for d in b] for e in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]
