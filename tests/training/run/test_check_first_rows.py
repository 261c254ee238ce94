"""Bad data are found before the first step, and named as a person can act on."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from backend.errors import BadInput
from training.datasets.base import BaseDataset
from training.datasets.record import Record
from training.run.build_data import check_first_rows


class Rows(BaseDataset):
    name = "rows"

    def __len__(self) -> int:
        return 3

    def read(self, row: int) -> Record:
        return Record(key=str(row), dataset="toy", joint_set="smpl24")


def data(prepare):
    return SimpleNamespace(
        sets={"train": [Rows()], "validation": []}, prepare=prepare, prepare_evaluation=prepare, seed=0
    )


def test_what_a_preparer_refuses_keeps_its_words():
    def refuse(record, rng):
        raise BadInput("bad_label", f"{record.key} has no 2D pose.", "Take another data set.")

    with pytest.raises(BadInput) as refused:
        check_first_rows(data(refuse))
    assert (refused.value.code, refused.value.message) == ("bad_label", "0 has no 2D pose.")
    assert refused.value.hint == "Take another data set."


def test_values_that_are_no_numbers_are_named():
    with pytest.raises(BadInput) as refused:
        check_first_rows(data(lambda record, rng: {"pose": np.array([0, np.nan])}))
    assert refused.value.code == "not_a_number" and "rows, row 0: pose" in refused.value.message


def test_good_rows_pass():
    check_first_rows(data(lambda record, rng: {"pose": np.zeros(2)}))
