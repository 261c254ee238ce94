"""The worker's models: which stay in memory, and the precision of their networks."""

from __future__ import annotations

import sys

import pytest
from fake_recoverer import FakeModel

from backend.serving.worker import Worker

MADE: list[tuple[str, dict]] = []


class Fake:
    """A recoverer of a given size."""

    def __init__(self, model, device, **options):
        MADE.append((model, options))
        self.device = device
        self.model = FakeModel(int(model))


@pytest.fixture(autouse=True)
def made(monkeypatch):
    MADE.clear()
    monkeypatch.setitem(sys.modules, "fake_models", sys.modules[__name__])
    return MADE


def worker(budget, precision="fp32"):
    return Worker("fake_models:Fake", "", "cpu", lambda header, frames=(): None, budget, precision)


def test_models_stay_as_long_as_their_weights_fit(made):
    one = worker(100)
    for name in ("40", "50", "40", "30"):  # the third is still loaded; the fourth unloads the least recently used
        one.warm_up(name)
    assert [name for name, _ in made] == ["40", "50", "30"]
    one.warm_up("40")
    assert len(made) == 3
    one.warm_up("50")
    assert [name for name, _ in made] == ["40", "50", "30", "50"]


def test_a_model_over_the_budget_unloads_all_others(made):
    one = worker(100)
    for name in ("40", "500", "500"):
        one.warm_up(name)
    assert [name for name, _ in made] == ["40", "500"]


def test_precision_reaches_the_engine(made):
    worker(100).warm_up("1")
    worker(100, "bf16").warm_up("2")
    assert made[0] == ("1", {})
    assert made[1][1]["options"].precision == "bf16"
