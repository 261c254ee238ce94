"""The check of a data set's first rows, before the first step."""

import numpy as np
import pytest

from backend.errors import BadInput
from training.datasets import tiny
from training.datasets.datamodule import RecordData
from training.datasets.registry import build_dataset
from training.run.build_data import check_first_rows


def data_of(tmp_path, prepare):
    records = build_dataset(tiny.write("tsv", tmp_path, count=3))
    data = RecordData(prepare, train=records, check_rows=0)
    data.setup("fit")
    return data


def test_an_error_of_the_preparer_is_raised_unchanged(tmp_path):
    def prepare(record, rng=None):
        raise BadInput("bad_label", f"{record.dataset} has no box.", "Take another.")

    with pytest.raises(BadInput) as caught:
        check_first_rows(data_of(tmp_path, prepare))
    assert (caught.value.code, caught.value.message) == ("bad_label", "human3.6m has no box.")
    assert caught.value.hint == "Take another."


def test_nan_is_reported_with_set_row_and_name(tmp_path):
    with pytest.raises(BadInput, match=r"human3\.6m/train, row 0: x contains NaN or infinite values") as caught:
        check_first_rows(data_of(tmp_path, lambda record, rng=None: {"x": np.array([1.0, np.nan])}))
    assert caught.value.code == "not_a_number"


def test_good_rows_pass(tmp_path):
    check_first_rows(data_of(tmp_path, lambda record, rng=None: {"x": np.zeros(2)}))
