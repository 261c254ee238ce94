"""Records through a preparer into batches, by worker processes, with exact resume inside an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from backend.errors import BadInput
from training.datasets.base import BaseDataset
from training.datasets.mixture import RandomMix
from training.datasets.record import Record
from training.datasets.sampler import GlobalBatches, Progress, SampleRequest

Preparer = Callable[[Record, np.random.Generator | None], dict[str, np.ndarray]]


class SampleError(NamedTuple):
    """A BadInput on its way out of a worker."""

    code: str
    message: str
    hint: str


class PreparedDataset(Dataset):
    """Network inputs by row.  Randomness is of (seed, epoch, row): workers and interruptions change nothing.

    augment False: the preparer gets no generator.  fixed_augmentation: epoch 0's in all; items have their `row`.
    """

    def __init__(
        self,
        records: BaseDataset,
        prepare: Preparer,
        seed: int = 0,
        augment: bool = True,
        fixed_augmentation: bool = False,
    ) -> None:
        self.records, self.prepare, self.seed, self.augment, self.fixed_augmentation = (
            records,
            prepare,
            seed,
            augment,
            fixed_augmentation,
        )

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, request: SampleRequest | int) -> dict[str, np.ndarray] | SampleError:
        """What a person can act on is returned, not raised: torch would make a RuntimeError full of traces of it."""
        epoch, index = request if isinstance(request, tuple) else (0, request)
        rng = np.random.default_rng([self.seed, 0 if self.fixed_augmentation else epoch, index])
        try:
            records = self.records
            record = records.draw(index, rng) if isinstance(records, RandomMix) else records[index]
            item = self.prepare(record, rng if self.augment else None)
            return item | {"row": np.asarray(index, np.int64)} if self.fixed_augmentation else item
        except BadInput as error:
            return SampleError(error.code, error.message, error.hint)


def _collate(items: list[Any]) -> Any:
    return next((item for item in items if isinstance(item, SampleError)), None) or default_collate(items)


def _init_worker(_: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(0)  # each worker is one core's


class _ResumableSampler:
    """The batch sampler that torch sees; the loader says where it starts."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def __len__(self) -> int:
        return len(self.progress.batches)

    def __iter__(self) -> Iterator[list[SampleRequest]]:
        return self.progress.stream()


class ResumableLoader(DataLoader):
    """A DataLoader that Lightning can save and restore in the middle of an epoch.

    Each `iter` is the next epoch, or the rest of the one that `load_state_dict` came into.  `len` is that of a whole
    epoch.
    """

    def __init__(
        self, data: PreparedDataset, batches: GlobalBatches, workers: int = 0, pin_memory: bool = False
    ) -> None:
        self.progress = Progress(batches)
        super().__init__(
            data, batch_sampler=cast(Any, _ResumableSampler(self.progress)), num_workers=workers, collate_fn=_collate,
            pin_memory=pin_memory, persistent_workers=workers > 0, worker_init_fn=_init_worker if workers else None,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self.progress.begin()  # here and not in the feed, which torch starts more often than once an epoch
        for batch in super().__iter__():
            if isinstance(batch, SampleError):
                raise BadInput(*batch)
            self.progress.done += 1  # batches handed over, not those that workers have ahead
            yield batch

    def state_dict(self) -> dict[str, Any]:
        return self.progress.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.progress.load_state_dict(state)
