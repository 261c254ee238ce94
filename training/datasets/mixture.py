"""Mixtures of data sets, as in the originals.  For METRO's composites, which are files, see `tsv`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from backend.errors import BadInput
from training.datasets.base import BaseDataset
from training.datasets.record import Record


class _MultiDataset(BaseDataset):
    """The common part of mixtures.  Raises BadInput `empty_mixture` for a set without rows."""

    def __init__(self, sets: Sequence[BaseDataset]) -> None:
        if not sets or any(not len(s) for s in sets):
            empty = [s.name for s in sets if not len(s)]
            raise BadInput("empty_mixture", f"A mixture needs data sets with rows; without: {empty or 'all'}.")
        self.sets = list(sets)
        self.name = " + ".join(s.name for s in sets)

    def check(self, max_rows: int | None = None) -> list[str]:
        """Validation problems of each set, from `max_rows` rows of each."""
        return [problem for data in self.sets for problem in data.check(max_rows)]

    def problems(self) -> Iterator[str]:
        for data in self.sets:
            yield from data.problems()


class Concatenation(_MultiDataset):
    """Data sets one after the other."""

    def __init__(self, sets: Sequence[BaseDataset]) -> None:
        super().__init__(sets)
        self._ends = np.cumsum([len(s) for s in sets])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def locate(self, row: int) -> tuple[int, int]:
        """Index of the set, and row in it."""
        index_of_set = int(np.searchsorted(self._ends, row, side="right"))
        return index_of_set, row - (int(self._ends[index_of_set - 1]) if index_of_set else 0)

    def read(self, row: int) -> Record:
        index_of_set, inner = self.locate(row)
        return self.sets[index_of_set].read(inner)

    def subject(self, row: int) -> str:
        index_of_set, inner = self.locate(row)
        return self.sets[index_of_set].subject(inner)

    def source(self, row: int) -> tuple[str | Path, object]:
        index_of_set, inner = self.locate(row)
        return self.sets[index_of_set].source(inner)


class RandomMix(_MultiDataset):
    """Pose2Mesh's mixture (Pose2Mesh_RELEASE, commit 202ce98), as long as n times its longest set.

    Item i draws a set uniformly (or by `weights`).  With j = i modulo the longest length L and l the length of that
    set, it takes row j modulo l; where j is beyond the largest multiple of l in L, a random row.
    """

    def __init__(self, sets: Sequence[BaseDataset], weights: Sequence[float] | None = None) -> None:
        super().__init__(sets)
        self.longest = max(len(s) for s in sets)
        if weights is not None and (len(weights) != len(sets) or min(weights) < 0 or sum(weights) <= 0):
            raise BadInput("bad_weights", f"{len(sets)} data sets cannot be drawn by the weights {list(weights)}.")
        self.weights = None if weights is None else np.asarray(weights, np.float64) / np.sum(weights)

    def __len__(self) -> int:
        return self.longest * len(self.sets)

    def locate(self, index: int, rng: np.random.Generator) -> tuple[int, int]:
        """Index of the set, and row in it; draws from rng."""
        if self.weights is None:
            index_of_set = int(rng.integers(len(self.sets)))
        else:
            index_of_set = int(rng.choice(len(self.sets), p=self.weights))
        own, row = len(self.sets[index_of_set]), index % self.longest
        if row >= own * (self.longest // own):
            return index_of_set, int(rng.integers(own))
        return index_of_set, row % own

    def draw(self, index: int, rng: np.random.Generator) -> Record:
        """The record of item `index`, drawn with the rng of an epoch."""
        index_of_set, row = self.locate(index, rng)
        return self.sets[index_of_set][row]

    def read(self, row: int) -> Record:
        """The record of an item by a fixed draw, for inspection."""
        return self.draw(row, np.random.default_rng([0, row]))
