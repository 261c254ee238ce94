"""Lightning's data module over record sets: from a run's tables to batches.  Imports lightning (2 s)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

from backend.errors import BadInput
from training.datasets.base import BaseSet
from training.datasets.kinds import build_set
from training.datasets.loader import PreparedSet, Preparer, ResumableLoader
from training.datasets.sampler import GlobalBatches

Table = Mapping[str, Any]


class RecordData(lightning.LightningDataModule):
    """train, validation, test: tables for `kinds.build_set` (validation and test: one or several), or sets ready-made.

    prepare: of training; prepare_evaluation: of the others, called without a generator (the same one by default).
    batch_size, evaluation_batch_size: rows per process.  root: where relative paths of tables start.
    drop_last: as the originals: SMPLer True; FastMETRO, Pose2Mesh False.
    check_rows: rows of each set that are looked at before the first step; 0 for none.  same: see `PreparedSet`.
    Give the Trainer `use_distributed_sampler=False`: these batches are of each process already.
    """

    def __init__(
        self,
        prepare: Preparer,
        train: Table | BaseSet | None = None,
        validation: Table | BaseSet | Sequence[Table | BaseSet] = (),
        test: Table | BaseSet | Sequence[Table | BaseSet] = (),
        batch_size: int = 16,
        evaluation_batch_size: int | None = None,
        prepare_evaluation: Preparer | None = None,
        workers: int = 0,
        seed: int = 0,
        root: str | Path = "",
        drop_last: bool = False,
        check_rows: int = 8,
        same: bool = False,
    ) -> None:
        super().__init__()
        self.same = same
        self.prepare, self.prepare_evaluation = prepare, prepare_evaluation or prepare
        self._tables = {"train": _several(train), "validation": _several(validation), "test": _several(test)}
        self.batch_size, self.evaluation_batch_size = batch_size, evaluation_batch_size or batch_size
        self.workers, self.seed, self.root = workers, seed, root
        self.drop_last, self.check_rows = drop_last, check_rows
        self.sets: dict[str, list[BaseSet]] = {}
        self._train: ResumableLoader | None = None
        self._resumed: dict[str, Any] | None = None

    def setup(self, stage: str | None = None) -> None:
        """Open the sets of a stage and look at some rows.  Raises BadInput with all that is wrong."""
        wanted = {"fit": ("train", "validation"), "validate": ("validation",), "test": ("test",)}
        for part in wanted.get(stage or "", ("train", "validation", "test")):
            if part not in self.sets:
                self.sets[part] = [
                    t if isinstance(t, BaseSet) else build_set(t, self.root) for t in self._tables[part]
                ]
                self._check(self.sets[part])

    def _check(self, sets: Sequence[BaseSet]) -> None:
        if not self.check_rows:
            return
        wrong = [p for data in sets for p in data.check(self.check_rows) if not p.startswith("note")]
        if wrong:
            raise BadInput("bad_data", "The data cannot be trained on:\n  " + "\n  ".join(wrong[:20]))

    def train_dataloader(self) -> ResumableLoader:
        (records,) = self.sets["train"]
        self._train = self._loader(records, self.batch_size, train=True)
        if self._resumed is not None:
            self._train.load_state_dict(self._resumed)
            if self.trainer is not None and self.trainer.current_epoch > self._resumed["epoch"]:
                self._train.progress.turn_to(self.trainer.current_epoch)
            self._resumed = None
        return self._train

    def state_dict(self) -> dict[str, Any]:
        """Kept in every checkpoint.  Lightning's own copy of it is not given back when an epoch had just ended."""
        return {} if self._train is None else {"train": self._train.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed = state_dict.get("train")

    def val_dataloader(self) -> list[DataLoader]:
        return [
            self._loader(records, self.evaluation_batch_size, train=False)
            for records in self.sets["validation"]
        ]

    def test_dataloader(self) -> list[DataLoader]:
        return [
            self._loader(records, self.evaluation_batch_size, train=False) for records in self.sets["test"]
        ]

    def _loader(self, records: BaseSet, batch: int, train: bool) -> ResumableLoader:
        rank, world, gathered = self._place()
        batches = GlobalBatches(
            len(records),
            batch,
            rank,
            world,
            self.seed,
            shuffle=train,
            drop_last=train and self.drop_last,
            pad=train,
            gathered=gathered if train else 1,
        )
        prepare = self.prepare if train else self.prepare_evaluation
        data = PreparedSet(records, prepare, self.seed, augment=train, same=train and self.same)
        return ResumableLoader(data, batches, self.workers, pin_memory=torch.cuda.is_available())

    def _place(self) -> tuple[int, int, int]:
        """-> rank, number of processes, batches per step of the optimiser."""
        trainer = self.trainer
        if trainer is None:
            return 0, 1, 1
        if trainer.world_size > 1 and trainer._accelerator_connector.use_distributed_sampler:
            raise BadInput(
                "lightning_sampler",
                "Lightning would deal the batches out a second time.",
                "Give the Trainer use_distributed_sampler=False.",
            )
        return trainer.global_rank, trainer.world_size, trainer.accumulate_grad_batches


def _several(tables: Any) -> list[Any]:
    if tables is None:
        return []
    return [tables] if isinstance(tables, Mapping | BaseSet) else list(tables)
