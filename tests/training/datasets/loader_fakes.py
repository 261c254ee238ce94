"""A fake data set and preparer for loader tests, and the process that one of them kills."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from backend.atomic import atomic_path
from training.datasets.base import BaseDataset
from training.datasets.loader import PreparedDataset, ResumableLoader
from training.datasets.record import Record
from training.datasets.sampler import GlobalBatches


class Numbers(BaseDataset):
    """Row k has betas k; NaN for the rows in `broken`."""

    def __init__(self, count, name="numbers", broken=()):
        self.count, self.name, self.broken = count, name, broken

    def __len__(self):
        return self.count

    def read(self, row):
        betas = np.full(10, np.nan if row in self.broken else row, np.float32)
        return Record(key=str(row), dataset=self.name, joint_set="smpl24", betas=betas)


def prepare(record, rng):
    noise = np.zeros(3) if rng is None else rng.standard_normal(3)
    return {"x": record.betas[:3] + noise, "row": np.int64(record.betas[0])}


def make_loader(workers=2, rows=40, batch=4, rank=0, world=1, seed=3, **options):
    batches = GlobalBatches(rows, batch, rank, world, seed, **options)
    return ResumableLoader(PreparedDataset(Numbers(rows), prepare, seed), batches, workers)


def main(state_file, log_file):
    """Logs the bits of every batch and saves the loader's state after each, like a trainer that saves at every step."""
    torch.set_num_threads(1)
    loader = make_loader()
    for epoch in range(3):
        for number, batch in enumerate(loader):
            with Path(log_file).open("a") as log:
                log.write(batch["x"].numpy().tobytes().hex() + "\n")
            with atomic_path(Path(state_file)) as temporary:
                temporary.write_text(json.dumps(loader.state_dict()))
            if (epoch, number) == (2, 5):
                signal.pause()  # in the middle of an epoch, until it is killed
            time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
