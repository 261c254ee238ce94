"""Values are read as annotated types; others are reported with file, key and expectation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from backend.errors import BadInput
from training.schema import read_arguments, read_value


@dataclass(frozen=True)
class Shares:
    total: float
    by_size: dict[int, float]
    names: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (float, 3, 3.0),
        (int | None, None, None),
        (bool, False, False),
        (str | Path, "a", "a"),
        (Literal["32", "bf16"], 32, "32"),
        (tuple[int, int], [1, 2], (1, 2)),
        (tuple[float, ...], [1, 2, 3], (1.0, 2.0, 3.0)),
        (Sequence[str], ["a"], ["a"]),
        (Mapping[str, float] | None, {"a": 1}, {"a": 1.0}),
        (Any, object, object),
        (Shares, {"total": 1, "by_size": {4: 1}, "names": ["x"]}, Shares(1.0, {4: 1.0}, ("x",))),
    ],
)
def test_valid_values_are_read(kind, value, read):
    result = read_value(kind, value, "mine.yaml", "a.b")
    assert result == read and type(result) is type(read)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (float, "fast", r"a\.b is 'fast', expected a number"),
        (float, True, r"a\.b is True, expected a number"),
        (float, float("nan"), r"a\.b is nan, expected a finite number"),
        (int, 1.5, r"a\.b is 1\.5, expected a whole number"),
        (int, True, r"a\.b is True, expected a whole number"),
        (bool, 1, r"a\.b is 1, expected true or false"),
        (str, 1, r"a\.b is 1, expected text"),
        (str, None, r"a\.b is None, expected text"),
        (str | list[int], 1.5, r"a\.b is 1\.5, expected text or a list"),
        (Literal["x", "y"], "z", r"a\.b is 'z'.*x, y"),
        (tuple[int, int], [1, 2, 3], r"a\.b is \[1, 2, 3\], expected a list of 2"),
        (tuple[int, int], 224, r"a\.b is 224, expected a list"),
        (list[float], [1, "x"], r"a\.b\[1\] is 'x', expected a number"),
        (dict[int, float], {"x": 1}, r"a\.b: the key is 'x', expected a whole number"),
        (dict[int, float], {4: "x"}, r"a\.b\.4 is 'x', expected a number"),
        (dict[str, float], [1], r"a\.b is \[1\], expected keys and values"),
        (Shares, {"total": 1}, r"a\.b\.by_size is missing"),
        (Shares, {"total": 1, "by_size": {}, "x": 1}, r"a\.b\.x is not known.*total, by_size, names"),
        (Shares, 3, r"a\.b is 3, expected keys and values"),
    ],
)
def test_invalid_values_are_reported(kind, value, message):
    with pytest.raises(BadInput, match=rf"mine\.yaml: {message}"):
        read_value(kind, value, "mine.yaml", "a.b")


def test_arguments_are_read_by_the_signature():
    def make(model: object, rate: float, steps: Sequence[int] = ()) -> None: ...

    read = read_arguments(make, {"rate": 1, "steps": [2]}, "f", "settings", given={"model": None})
    assert read == {"rate": 1.0, "steps": [2]}
    for wrong, message in (
        ({}, r"settings\.rate is missing"),
        ({"rate": 1, "model": 2}, r"settings\.model is not known.*Known are: rate, steps"),
        ({"rate": [1]}, r"settings\.rate is \[1\], expected a number"),
    ):
        with pytest.raises(BadInput, match=f"f: {message}"):
            read_arguments(make, wrong, "f", "settings", given={"model": None})
