"""Jobs in the queue: their order, their limits, and cancelling them."""

from __future__ import annotations

from collections import deque

from server_process import BareClient, kinds

from backend.protocol import RESULT_WINDOW
from backend.serving.jobs import MAX_JOBS_PER_CLIENT, JobQueue, PhotoJob


def test_cancel_is_answered_while_the_worker_is_busy(client, gate):
    client.recover("j", "ok", gate.source, "ok")
    client.expect("result")
    gate.wait_started()
    client.send("cancel", "r", job="j")
    header = client.expect("cancelled")
    assert (header["job"], header["request"]) == ("j", "r")
    client.recover("k", "ok")
    assert client.expect("accepted", ("pong", "progress"))["queued"] == 0
    gate.open()
    assert kinds(client.collect("k")) == ["result", "done"]
    client.send("cancel", "r2", job="j")
    error = client.expect("error")
    assert (error["code"], error["job"], error["request"]) == ("unknown_job", "j", "r2")


def test_no_message_of_a_cancelled_job_comes_late(client, gate):
    client.recover("j", gate.source, "ok")
    gate.wait_started()
    client.send("cancel", job="j")
    client.expect("cancelled")
    gate.open()
    client.recover("k", "ok")
    late = []
    while (message := client.receive()) is not None and message[0] != "done":
        late.append(message[1].get("job"))
    assert set(late) == {"k"}


def test_the_worker_cancels_an_image_at_its_next_stage(client):
    client.recover("j", "stages:600")  # seconds
    client.expect("progress", ("accepted",))
    client.send("cancel", job="j")
    client.expect("cancelled")
    client.recover("k", "ok")
    assert kinds(client.collect("k")) == ["result", "done"]


def test_a_queued_job_is_cancelled(client, gate):
    client.recover("j", gate.source)
    client.recover("k", "ok")
    gate.wait_started()
    client.send("cancel", job="k")
    assert client.expect("cancelled")["job"] == "k"
    gate.open()
    assert kinds(client.collect("j")) == ["result", "done"]


def test_the_queue_is_bounded(client, gate):
    client.recover("j0", gate.source)
    gate.wait_started()
    for k in range(1, MAX_JOBS_PER_CLIENT):
        client.recover(f"j{k}", "ok")
    client.recover("one too many", "ok")
    error = client.expect("error")
    assert (error["code"], error["job"]) == ("busy", "one too many")
    client.recover("j1", "ok")
    assert client.expect("error")["code"] == "duplicate_job"
    gate.open()
    for k in range(MAX_JOBS_PER_CLIENT):
        end = None
        while end is None or end["job"] != f"j{k}":
            end = client.expect("done", ("progress", "accepted", "result"))


def test_two_clients_take_turns(server, client, gate):
    with BareClient(server.endpoint) as other:
        client.recover("long", gate.source, *["ok"] * (RESULT_WINDOW - 1))
        gate.wait_started()
        other.recover("j", "two")
        other.expect("accepted", ())
        gate.open()
        assert kinds(other.collect("j")) == ["result", "done"]
        found = client.collect("long")
        assert [header["index"] for kind, header in found if kind == "result"] == list(range(RESULT_WINDOW))


def test_clients_take_turns_image_by_image():
    def job(client, name):
        return PhotoJob(client, name, "", ["ok"] * 3, deque(), "m", "all", 0.0)

    jobs = JobQueue()
    for client, name in ((b"a", "a1"), (b"a", "a2"), (b"b", "b1")):
        jobs.add(job(client, name))
    order = []
    for _ in range(6):
        taken = jobs.take(lambda client: True)
        assert isinstance(taken, PhotoJob)
        taken.next_index += 1
        order.append(taken.id)
    assert order == ["a1", "b1", "a1", "b1", "a1", "b1"]
    assert jobs.take(lambda client: client != b"a") is None  # b has no task left, a is not reachable
    assert jobs.take(lambda client: True).id == "a2"
