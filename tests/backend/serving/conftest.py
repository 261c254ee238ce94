"""One server per test file, one client per test."""

from __future__ import annotations

import pytest
from server_process import BareClient, Gate, ServerProcess


@pytest.fixture(scope="module")
def server():
    with ServerProcess() as process:
        yield process


@pytest.fixture
def client(server):
    with BareClient(server.endpoint) as bare:
        yield bare


@pytest.fixture
def gate(tmp_path):
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()
