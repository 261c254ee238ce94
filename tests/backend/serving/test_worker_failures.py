"""Workers that are killed, hang or cannot start: their jobs fail with errors, the server continues."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from server_process import BareClient, Clock, ServerProcess, kinds, server_here, wait_for

from backend.serving import scheduler


@pytest.mark.parametrize("kill", ["itself", "from outside"])
def test_a_workers_death_fails_its_job_and_a_new_one_starts(server, client, gate, kill):
    if kill == "itself":
        client.recover("j", "ok", "die", "ok")
    else:
        client.recover("j", "ok", gate.source, "ok")
        gate.wait_started()
        (pid,) = server.worker_pids()
        os.kill(pid, signal.SIGKILL)
    found = client.collect("j")
    assert kinds(found) == ["result", "error"]
    assert found[1][1]["code"] == "worker_died"
    assert "smaller" in found[1][1]["hint"]
    client.recover("k", "ok")
    assert kinds(client.collect("k")) == ["result", "done"]


def test_a_worker_killed_while_idle_is_replaced(server, client):
    client.recover("j", "ok")
    client.collect("j")
    (pid,) = server.worker_pids()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: server.worker_pids() not in ([], [pid]), "a new worker")
    client.recover("k", "ok")
    assert kinds(client.collect("k")) == ["result", "done"]


def test_a_model_that_cannot_be_loaded_fails_the_job():
    with (
        ServerProcess(factory="fake_recoverer:BrokenRecoverer") as server,
        BareClient(server.endpoint) as client,
    ):
        client.recover("j", "ok", "ok")
        found = client.collect("j")
        assert kinds(found) == ["error"]
        assert (found[0][1]["code"], found[0][1]["hint"]) == ("no_weights", "Download them.")


def test_workers_that_always_die_fail_all_jobs_and_the_server_continues(tmp_path, monkeypatch):
    log = tmp_path / "deaths"
    monkeypatch.setenv("FAKE_DEATHS", str(log))
    with (
        ServerProcess(factory="fake_recoverer:DyingRecoverer") as server,
        BareClient(server.endpoint) as client,
    ):
        for k in range(8):
            client.recover(f"j{k}", "ok")
        failed = [client.expect("error") for _ in range(8)]
        assert [header["job"] for header in failed] == [f"j{k}" for k in range(8)]
        assert {header["code"] for header in failed} == {"worker_died"}
        assert len(log.read_text()) < 8  # fewer deaths than jobs
        client.send("ping", "still there")
        assert client.expect("pong", ("progress",))["request"] == "still there"


def test_an_image_that_hangs_kills_the_worker_and_not_the_server(gate, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    clock, limit = Clock(), 3600.0
    monkeypatch.setattr(scheduler, "time", clock)
    with (
        server_here(factory="fake_recoverer:FakeRecoverer", task_seconds=limit) as server,
        BareClient(server.endpoint) as client,
    ):
        client.recover("j", gate.source)
        gate.wait_started()
        clock.ahead += 2 * limit
        assert client.collect("j")[-1][1]["code"] == "worker_died"
        client.recover("k", "ok")
        assert kinds(client.collect("k")) == ["result", "done"]
