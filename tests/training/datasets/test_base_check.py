"""`check` of data sets, and subsets."""

import dataclasses

import pytest

from backend.body.files import read_body
from backend.body.registry import find_body, save_body
from backend.errors import BadInput
from training.datasets import tiny
from training.datasets.base import Subset, make_subset
from training.datasets.registry import build_dataset


def test_official_bodies_with_few_regressors_are_compared(tmp_path, monkeypatch):
    monkeypatch.setenv("RECOVER_MESH_HOME", str(tmp_path / "home"))
    body = read_body(find_body("open"))
    two = {k: v for k, v in body.regressors.items() if k in ("h36m17", "coco17")}
    save_body(dataclasses.replace(body, regressors=two), "official")
    save_body(dataclasses.replace(body, regressors={}), "bare")
    tables = {kind: tiny.write(kind, tmp_path / kind, count=3) for kind in ("tsv", "muco", "spin", "eft")}

    def problems(table, name):
        return [m for m in build_dataset({**table, "body": name}).check() if not m.startswith("note: human")]

    assert [problems(table, "official") for table in tables.values()] == [[]] * 4
    (note,) = problems(tables["tsv"], "bare")
    assert note.startswith("note: fits are not compared") and "no regressor of h36m17" in note


def test_a_limited_check_reads_evenly_spread_rows(tmp_path):
    read_rows = []
    data = build_dataset(tiny.write("tsv", tmp_path, count=9))
    data.read = lambda row, read=data.read: read_rows.append(row) or read(row)
    data.check(max_rows=3)
    assert read_rows == [0, 4, 8]


def test_subset_of_a_subset(tmp_path):
    data = build_dataset(tiny.write("tsv", tmp_path, count=8))
    some = make_subset(make_subset(data, every=2), first=3)
    assert isinstance(some, Subset) and [r.key for r in some] == [data[k].key for k in (0, 2, 4)]
    assert some.source(2) == data.source(4) and some.subject(1) == data.subject(2)
    assert make_subset(data) is data
    with pytest.raises(BadInput, match="both must be at least 1"):
        make_subset(data, every=0)
