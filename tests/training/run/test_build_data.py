"""The look at a set's first rows, before anything is trained."""

import numpy as np
import pytest

from backend.errors import BadInput
from training.datasets import tiny
from training.datasets.datamodule import RecordData
from training.datasets.registry import build_dataset
from training.run.build_data import check_first_rows


def data_of(tmp_path, prepare):
    records = build_dataset(tiny.write("tsv", tmp_path, count=2))
    data = RecordData(prepare, train=records, check_rows=0)
    data.setup("fit")
    return data


def test_what_a_preparer_finds_wrong_is_said_as_it_says_it(tmp_path):
    def prepare(record, rng=None):
        raise BadInput("bad_label", f"{record.dataset} has no box.", "Take another.")

    with pytest.raises(BadInput, match="has no box") as caught:
        check_first_rows(data_of(tmp_path, prepare))
    assert (caught.value.code, caught.value.hint) == ("bad_label", "Take another.")


def test_values_that_are_no_numbers_are_named(tmp_path):
    with pytest.raises(BadInput, match="row 0: x contains NaN or infinite values"):
        check_first_rows(data_of(tmp_path, lambda record, rng=None: {"x": np.array([1.0, np.nan])}))
