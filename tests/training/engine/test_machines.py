"""Devices and nodes of a run: requested, set by a launcher, and contradictions."""

from __future__ import annotations

import pytest

from backend.errors import BadInput
from training.engine.fit import fit, process_rank
from training.engine.trainer import Machines, find_machines
from training.run.spec import load_run

LAUNCHERS = ("LOCAL_WORLD_SIZE", "WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_NTASKS", "SLURM_PROCID")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)


def test_without_a_launcher():
    assert (find_machines().devices, find_machines().nodes) == (1, 1)
    found = find_machines(2, 3)
    assert (found.devices, found.nodes, found.world_size) == (2, 3, 6)


def test_torchrun_decides(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("WORLD_SIZE", "8")
    found = find_machines()
    assert (found.devices, found.nodes) == (4, 2)
    assert find_machines(4, 2) == found
    with pytest.raises(BadInput, match="torchrun started 4 processes on 2 nodes"):
        find_machines(2)


def test_slurm_decides(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "8")
    monkeypatch.setenv("SLURM_NNODES", "2")
    monkeypatch.setenv("SLURM_JOB_NAME", "fastmetro")
    assert (find_machines().devices, find_machines().nodes) == (4, 2)
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")  # salloc: the tasks are not ours
    assert find_machines().world_size == 1


def test_ranks(monkeypatch):
    assert process_rank(Machines()) == 0
    four = Machines(2, 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("NODE_RANK", "1")
    assert process_rank(four) == 3
    monkeypatch.setenv("SLURM_PROCID", "2")
    assert process_rank(four) == 2
    monkeypatch.setenv("RANK", "1")
    assert process_rank(four) == 1
    assert process_rank(Machines()) == 0


def test_the_feature_cache_needs_a_single_machine(tmp_path):
    with pytest.raises(BadInput, match="processes of one machine; here are 2"):
        fit(load_run("fastmetro-small"), tmp_path, tmp_path / "out", Machines(1, 2))
