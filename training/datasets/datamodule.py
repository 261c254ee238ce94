"""The LightningDataModule of records: from a run's tables to batches.  Imports lightning (2 s)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

from backend.errors import BadInput
from training.datasets.base import BaseDataset
from training.datasets.loader import PreparedDataset, Preparer, ResumableLoader
from training.datasets.registry import build_dataset
from training.datasets.sampler import GlobalBatches

DatasetConfig = Mapping[str, Any]


class RecordData(lightning.LightningDataModule):
    """The data sets of a run as batches.

    train, validation, test: tables for `registry.build_dataset`, or data sets (validation and test: one or several).

    prepare: for training; prepare_evaluation: for the others, called without a generator (by default the same).
    batch_size, evaluation_batch_size: rows per process.  root: of relative paths in tables.
    drop_last: in the originals SMPLer True; FastMETRO, Pose2Mesh False.
    check_rows: rows of each set read before the first step; 0 for none.  fixed_augmentation: see `PreparedDataset`.
    The Trainer needs `use_distributed_sampler=False`: batches are sharded already.
    """

    def __init__(
        self,
        prepare: Preparer,
        train: DatasetConfig | BaseDataset | None = None,
        validation: DatasetConfig | BaseDataset | Sequence[DatasetConfig | BaseDataset] = (),
        test: DatasetConfig | BaseDataset | Sequence[DatasetConfig | BaseDataset] = (),
        batch_size: int = 16,
        evaluation_batch_size: int | None = None,
        prepare_evaluation: Preparer | None = None,
        workers: int = 0,
        seed: int = 0,
        root: str | Path = "",
        drop_last: bool = False,
        check_rows: int = 8,
        fixed_augmentation: bool = False,
    ) -> None:
        super().__init__()
        self.fixed_augmentation = fixed_augmentation
        self.prepare, self.prepare_evaluation = prepare, prepare_evaluation or prepare
        self._tables = {"train": _as_list(train), "validation": _as_list(validation), "test": _as_list(test)}
        self.batch_size, self.evaluation_batch_size = batch_size, evaluation_batch_size or batch_size
        self.workers, self.seed, self.root = workers, seed, root
        self.drop_last, self.check_rows = drop_last, check_rows
        self.sets: dict[str, list[BaseDataset]] = {}
        self._train: ResumableLoader | None = None
        self._resumed: dict[str, Any] | None = None

    def setup(self, stage: str | None = None) -> None:
        """Opens the data sets of a stage and checks some rows.  Raises BadInput `bad_data` with all problems."""
        wanted = {"fit": ("train", "validation"), "validate": ("validation",), "test": ("test",)}
        for part in wanted.get(stage or "", ("train", "validation", "test")):
            if part not in self.sets:
                self.sets[part] = [
                    t if isinstance(t, BaseDataset) else build_dataset(t, self.root) for t in self._tables[part]
                ]
                self._check(self.sets[part])

    def _check(self, sets: Sequence[BaseDataset]) -> None:
        if not self.check_rows:
            return
        problems = [p for data in sets for p in data.check(self.check_rows) if not p.startswith("note")]
        if problems:
            raise BadInput("bad_data", "The data cannot be trained on:\n  " + "\n  ".join(problems[:20]))

    def train_dataloader(self) -> ResumableLoader:
        (records,) = self.sets["train"]
        self._train = self._loader(records, self.batch_size, train=True)
        if self._resumed is not None:
            self._train.load_state_dict(self._resumed)
            if self.trainer is not None and self.trainer.current_epoch > self._resumed["epoch"]:
                self._train.progress.set_epoch(self.trainer.current_epoch)
            self._resumed = None
        return self._train

    def state_dict(self) -> dict[str, Any]:
        """The position in the epoch, for checkpoints; Lightning does not restore its own at the end of an epoch."""
        return {} if self._train is None else {"train": self._train.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed = state_dict.get("train")

    def val_dataloader(self) -> list[DataLoader]:
        return [self._loader(records, self.evaluation_batch_size, train=False) for records in self.sets["validation"]]

    def test_dataloader(self) -> list[DataLoader]:
        return [self._loader(records, self.evaluation_batch_size, train=False) for records in self.sets["test"]]

    def _loader(self, records: BaseDataset, batch: int, train: bool) -> ResumableLoader:
        rank, world_size, accumulation_steps = self._distributed_state()
        batches = GlobalBatches(
            len(records),
            batch,
            rank,
            world_size,
            self.seed,
            shuffle=train,
            drop_last=train and self.drop_last,
            pad=train,
            accumulation_steps=accumulation_steps if train else 1,
        )
        prepare = self.prepare if train else self.prepare_evaluation
        data = PreparedDataset(
            records, prepare, self.seed, augment=train, fixed_augmentation=train and self.fixed_augmentation
        )
        return ResumableLoader(data, batches, self.workers, pin_memory=torch.cuda.is_available())

    def _distributed_state(self) -> tuple[int, int, int]:
        """Rank, world size, batches per optimiser step.  Raises BadInput `lightning_sampler`."""
        trainer = self.trainer
        if trainer is None:
            return 0, 1, 1
        if trainer.world_size > 1 and trainer._accelerator_connector.use_distributed_sampler:
            raise BadInput(
                "lightning_sampler",
                "Lightning would shard the batches a second time.",
                "Give the Trainer use_distributed_sampler=False.",
            )
        return trainer.global_rank, trainer.world_size, trainer.accumulate_grad_batches


def _as_list(tables: Any) -> list[Any]:
    if tables is None:
        return []
    return [tables] if isinstance(tables, Mapping | BaseDataset) else list(tables)
