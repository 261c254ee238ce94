"""Batches of prepared records from worker processes, with exact resume inside an epoch."""

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
    """A BadInput that a worker returns."""

    code: str
    message: str
    hint: str


class PreparedDataset(Dataset):
    """Prepared samples by row.  Random draws depend on (seed, epoch, row) alone, not on workers or interruptions.

    augment False: the preparer gets no generator.  fixed_augmentation: that of epoch 0 in all epochs, and samples have
    their `row`, for the feature cache.
    """

    def __init__(
        self, records: BaseDataset, prepare: Preparer, seed: int = 0, augment: bool = True,
        fixed_augmentation: bool = False,
    ) -> None:  # fmt: skip
        self.records, self.prepare, self.seed = records, prepare, seed
        self.augment, self.fixed_augmentation = augment, fixed_augmentation

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, request: SampleRequest | int) -> dict[str, np.ndarray] | SampleError:
        """The sample; a BadInput is returned as SampleError, since torch would turn it into a RuntimeError."""
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
    cv2.setNumThreads(0)  # one core per worker


class _ResumableSampler:
    """The batch sampler for torch, which starts where `progress` is."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def __len__(self) -> int:
        return len(self.progress.batches)

    def __iter__(self) -> Iterator[list[SampleRequest]]:
        return self.progress.stream()


class ResumableLoader(DataLoader):
    """A DataLoader whose state can be saved and restored in the middle of an epoch.

    Each `iter` is the next epoch, or the rest of a resumed one; `len` is that of a full epoch.
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
        self.progress.begin()  # not in the sampler, which torch iterates more than once per epoch
        for batch in super().__iter__():
            if isinstance(batch, SampleError):
                raise BadInput(*batch)
            self.progress.done += 1  # batches yielded, without those that workers prefetch
            yield batch

    def state_dict(self) -> dict[str, Any]:
        return self.progress.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.progress.load_state_dict(state)
