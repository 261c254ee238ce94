"""The order of training samples: a function of seed and epoch alone, the same for any number of processes.

A *global batch* is the samples of all processes in one optimiser step; process r takes its r-th shard.  So two
processes with batch b train on the same global batches as one with batch 2 b, and as one that accumulates gradients
over two batches of b, including the last one of an epoch, which may not be full.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from backend.errors import BadInput


class SampleRequest(NamedTuple):
    """A sample that a loader worker prepares: its row, and the epoch that seeds its augmentation."""

    epoch: int
    row: int


class GlobalBatches:
    """Batches of one process.  length: rows; batch: rows per process and batch; accumulation_steps: batches per step.

    drop_last: skip rows that do not fill a global batch (shuffled, others in each epoch).  Else the last one is
    smaller: with `pad` the first rows are repeated, as by DistributedSampler, until all processes have equally many;
    without it (evaluation: every row once) the last processes may have fewer or none.
    """

    def __init__(
        self, length: int, batch: int, rank: int = 0, world_size: int = 1, seed: int = 0, shuffle: bool = True,
        drop_last: bool = True, pad: bool = True, accumulation_steps: int = 1,
    ) -> None:  # fmt: skip
        self.length, self.batch, self.rank, self.world_size, self.seed = length, batch, rank, world_size, seed
        self.shuffle, self.drop_last, self.pad = shuffle, drop_last, pad
        self.accumulation_steps = accumulation_steps
        if not 0 <= rank < world_size or batch < 1 or accumulation_steps < 1:
            raise ValueError(f"rank {rank} of {world_size}, batch {batch}, {accumulation_steps} accumulation steps")
        if accumulation_steps > 1 and not (pad or drop_last):
            raise ValueError("without pad, the last step may have fewer batches than accumulation_steps")
        if not len(self) and (drop_last or not length):
            raise BadInput(
                "too_few_rows",
                f"The set has {length} rows, fewer than one batch of {batch} x {world_size} processes"
                f"{f' x {accumulation_steps} accumulation steps' if accumulation_steps > 1 else ''}.",
                "Use a smaller batch, or a larger subset.",
            )

    @property
    def global_batch(self) -> int:
        return self.batch * self._shards

    @property
    def _shards(self) -> int:
        """Number of shards of a global batch."""
        return self.world_size * self.accumulation_steps

    def __len__(self) -> int:
        """Batches of this process in an epoch."""
        full_batches, rest = divmod(self.length, self.global_batch)
        if self.drop_last or not rest:
            return full_batches * self.accumulation_steps
        return (full_batches + int(self.pad or len(self._shard(np.arange(rest), 0)) > 0)) * self.accumulation_steps

    def order(self, epoch: int) -> np.ndarray:
        """(length,) rows in the order of an epoch; the same in every process."""
        if not self.shuffle:
            return np.arange(self.length)
        # numpy guarantees RandomState's streams for good, but not a Generator's
        bits = np.random.MT19937(np.random.SeedSequence([self.seed, epoch]))
        return np.random.RandomState(bits).permutation(self.length)

    def batches(self, epoch: int, start: int = 0) -> Iterator[list[SampleRequest]]:
        """Batches of this process in an epoch, from index `start` on."""
        order = self.order(epoch)
        for number in range(start, len(self)):
            step, part = divmod(number, self.accumulation_steps)
            rows = order[step * self.global_batch : (step + 1) * self.global_batch]
            if len(rows) < self.global_batch and self.pad and len(rows) % self._shards:
                rows = np.concatenate([rows, np.resize(order, self._shards - len(rows) % self._shards)])
            yield [SampleRequest(epoch, int(row)) for row in self._shard(rows, part)]

    def _shard(self, rows: np.ndarray, part: int) -> np.ndarray:
        """This process's shard of a global batch, for accumulation step `part`."""
        return np.array_split(rows, self._shards)[self.rank * self.accumulation_steps + part]


class Progress:
    """The position of a run, for checkpoints: `done` batches of `epoch` have been trained on."""

    def __init__(self, batches: GlobalBatches) -> None:
        self.batches, self.epoch, self.done = batches, 0, 0
        self._not_started = True  # the epoch has not been started, or is to be resumed

    def begin(self) -> None:
        """Starts the next epoch: the rest of a resumed one, else a new one."""
        if not self._not_started or self.done >= len(self.batches):
            self.epoch, self.done = self.epoch + 1, 0
        self._not_started = False

    def set_epoch(self, epoch: int) -> None:
        """Makes `epoch` the next one, from its start, where the trainer ended the one before early."""
        self.epoch, self.done, self._not_started = epoch, 0, True

    def stream(self) -> Iterator[list[SampleRequest]]:
        """The remaining batches of this epoch."""
        return self.batches.batches(self.epoch, self.done)

    def state_dict(self) -> dict[str, Any]:
        b = self.batches
        return {
            "epoch": self.epoch, "done": self.done, "seed": b.seed, "length": b.length, "global_batch": b.global_batch,
            "gathered": b.accumulation_steps, "shuffle": b.shuffle, "drop_last": b.drop_last,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from `state`.  Raises BadInput `other_run` where data, seed or global batch differ."""
        own = self.state_dict()
        state = {"gathered": 1, **state}  # not in older checkpoints
        other = [k for k in own if k not in ("epoch", "done") and state.get(k) != own[k]]
        if other:
            raise BadInput(
                "other_run",
                "The checkpoint was made with "
                + ", ".join(f"{k} {state.get(k)} (now {own[k]})" for k in other)
                + ": it cannot be resumed in the middle of an epoch.",
                "Resume with the same data, seed and batch x processes, or start a new run from its weights.",
            )
        self.epoch, self.done, self._not_started = int(state["epoch"]), int(state["done"]), True
