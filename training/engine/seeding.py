"""Seeds the network's random draws by (seed, rank, batch), so that a resumed run repeats them."""

from __future__ import annotations

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class SeedEveryBatch(Callback):
    """Seeds torch before every batch, so that no generator states need saving, on any number of devices.

    Draws of the loader and of Lightning from the same generators then have no effect.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        done = trainer.fit_loop.epoch_loop.total_batch_idx
        sequence = np.random.SeedSequence((self.seed, trainer.global_rank, done))  # unrelated for neighbours
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))  # 63 bits
