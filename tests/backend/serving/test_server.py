"""The server as a client sees it: a real process with a real worker, and a recoverer that does as told."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import deque
from pathlib import Path

import msgpack
import numpy as np
import pytest
import zmq
from server_process import PATIENCE, TOKEN, BareClient, ServerProcess, is_running, wait_for

from backend import protocol
from backend.protocol import RESULT_WINDOW
from backend.serving.jobs import MAX_JOBS_PER_CLIENT


@pytest.fixture(scope="module")
def server():
    with ServerProcess() as process:
        yield process


@pytest.fixture
def client(server):
    with BareClient(server.endpoint) as bare:
        yield bare


class Gate:
    """A source that keeps the worker busy until it is opened."""

    def __init__(self, path):
        self.path = path
        self.source = f"wait:{path}"

    def wait_started(self):
        wait_for(self.path.with_name(self.path.name + ".started").exists, "the worker to begin")

    def open(self):
        self.path.touch()


@pytest.fixture
def gate(tmp_path):
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


def kinds(found):
    return [kind for kind, _ in found]


# ---- jobs ------------------------------------------------------------------------------------------------


def test_results_come_in_order_and_a_bad_source_stops_nothing(client):
    client.recover("j", "ok", "bad", "two", "bug", "nan", "nobody", "print", focal_px=20.0, people="3")
    found = client.collect("j")
    failed = "source_failed"
    assert kinds(found) == ["result", failed, "result", failed, failed, "result", "result", "done"]
    assert [header["index"] for _, header in found[:-1]] == [0, 1, 2, 3, 4, 5, 6]
    assert all(header["request"] == "request j" for _, header in found)
    headers = [header for _, header in found]
    assert headers[0]["camera"] == [520.0, 500.0, 319.5, 239.5, 640, 480]
    assert headers[0]["model"] == "keypoint-fit auto 3"  # all options arrived at the recoverer
    assert (headers[1]["code"], headers[1]["hint"]) == ("not_an_image", "Choose a photo.")
    assert headers[2]["_arrays"]["vertices"].shape == (2, 50, 3)
    assert headers[3]["code"] == "internal"
    assert headers[4]["code"] == "not_finite"
    assert {name: a.shape for name, a in headers[5]["_arrays"].items()} == {
        "poses": (0, 24, 3),
        "betas": (0, 10),
        "trans": (0, 3),
        "joints": (0, 24, 3),
        "vertices": (0, 50, 3),
        "confidence": (0, 24),
        "keypoints2d": (0, 33, 3),
        "boxes": (0, 4),
    }


def test_encoded_images_take_the_places_of_empty_sources(client):
    images = {f"image{k}": np.frombuffer(text, np.uint8) for k, text in enumerate((b"two", b"picture"))}
    client.recover("j", "ok", "", "ok", "", arrays=images)
    results = [header for kind, header in client.collect("j") if kind == "result"]
    assert [len(header["scores"]) for header in results] == [1, 2, 1, 1]
    assert [header["source"] for header in results] == ["ok", "", "ok", ""]
    assert results[3]["_arrays"]["picture"].tobytes() == b"picture"


def test_images_and_empty_sources_must_match(client):
    client.recover("j", "ok", "", "")
    assert client.expect("error")["code"] == "malformed"


def test_progress_grows_and_is_throttled(client):
    client.recover("j", "stages:0.5", "ok")
    progress, end = [], ""
    while end != "done":
        message = client.receive()
        assert message is not None
        end, header, _ = message
        if end == "progress":
            progress.append(header)
    assert 2 <= len(progress) <= 2 + 20 * header["seconds"]  # thousands of stages were reported
    assert all(header["total"] == 2 for header in progress)
    assert progress[-1]["fraction"] <= 1
    assert {"detect", "fit"} & {header["stage"] for header in progress}


def test_a_client_that_does_not_acknowledge_gets_a_window_of_results(client, server):
    client.recover("j", *["ok"] * 20)
    for index in range(RESULT_WINDOW):
        assert client.expect("result")["index"] == index
    with BareClient(server.endpoint) as other:  # the worker is free for others meanwhile
        other.recover("k", "ok")
        assert kinds(other.collect("k")) == ["result", "done"]
    assert kinds_within(client, 0.5) <= {"progress"}
    client.send("ack", job="j", index=1)
    assert client.expect("result")["index"] == RESULT_WINDOW
    client.send("ack", job="j", index=1)  # twice is once
    client.send("ack", job="j", index=17)  # was never sent
    client.send("ack", job="none", index=0)
    assert kinds_within(client, 0.5) <= {"progress"}
    for index in (0, 2, 3):
        client.send("ack", job="j", index=index)
        client.expect("result")
    client.send("cancel", job="j")
    client.expect("cancelled")


def kinds_within(client, seconds):
    found = set()
    while (message := client.receive(seconds)) is not None:
        found.add(message[0])
    return found


def test_memory_stays_bounded_when_nobody_reads():
    with ServerProcess() as server, BareClient(server.endpoint, hwm=1) as client:
        wait_for(server.worker_pids, "the worker")
        before = server.memory_bytes()
        for k in range(3):
            client.recover(f"j{k}", *["big"] * 50)  # 16 MB each, 2.4 GB in all
        with BareClient(server.endpoint) as other:
            other.recover("k", "ok")
            assert kinds(other.collect("k")) == ["result", "done"]
            for _ in range(3):  # the server goes on serving
                other.recover("k", *["ok"] * 10)
                other.collect("k")
        assert server.memory_bytes() - before < (3 * RESULT_WINDOW + 4) * 2 * 16_000_000


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
    assert kinds(client.collect("k")) == ["result", "done"]  # and nothing of j in between: collect skips, so:
    client.send("cancel", "r2", job="j")
    error = client.expect("error")
    assert (error["code"], error["job"], error["request"]) == ("unknown_job", "j", "r2")


def test_nothing_of_a_cancelled_job_comes_late(client, gate):
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


def test_the_worker_gives_a_cancelled_picture_up(client):
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
        other.recover("j", "two")  # the same job id as another client's is no matter
        other.expect("accepted", ())
        gate.open()
        assert kinds(other.collect("j")) == ["result", "done"]
        found = client.collect("long")
        assert [header["index"] for kind, header in found if kind == "result"] == list(range(RESULT_WINDOW))


def test_turns_are_by_picture():
    from backend.serving.jobs import Job, JobQueue

    def job(client, name):
        return Job(client, name, "", ["ok"] * 3, deque(), "m", "all", 0.0)

    jobs = JobQueue()
    for client, name in ((b"a", "a1"), (b"a", "a2"), (b"b", "b1")):
        jobs.add(job(client, name))
    order = []
    for _ in range(6):
        taken = jobs.take(lambda client: True)
        assert taken is not None
        taken.next_index += 1
        order.append(taken.id)
    assert order == ["a1", "b1", "a1", "b1", "a1", "b1"]
    assert jobs.take(lambda client: client != b"a") is None  # b has nothing left, a is passed by
    assert jobs.take(lambda client: True).id == "a2"


def test_get_body(client):
    name = client.welcome["bodies"][0]["name"]
    client.send("get_body", "r", body=name)
    body = client.expect("body")
    assert (body["name"], body["request"]) == (name, "r")
    assert body["_arrays"]["posedirs"].shape == (7, 3, 18)
    client.send("get_body", "r2", body="nobody's")
    error = client.expect("error")
    assert (error["code"], error["request"]) == ("unknown_body", "r2")
    assert name in error["hint"]


def test_unknown_models_are_refused_with_the_list(client):
    client.recover("j", "ok", model="none")
    error = client.expect("error")
    assert (error["code"], error["job"]) == ("unknown_model", "j")
    assert client.welcome["models"][0]["name"] in error["hint"]


# ---- things that go wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("kill", ["itself", "from outside"])
def test_a_dead_worker_is_an_error_and_a_fresh_one_follows(server, client, gate, kill):
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
    wait_for(lambda: server.worker_pids() not in ([], [pid]), "a fresh worker")
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


def test_workers_that_always_die_fail_the_jobs_and_leave_the_server(tmp_path, monkeypatch):
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
        assert len(log.read_text()) < 8  # it did not take a death for each of them
        client.send("ping", "still there")
        assert client.expect("pong", ("progress",))["request"] == "still there"


def test_the_jobs_of_a_dead_client_are_cancelled(server, client, gate):
    dead = BareClient(server.endpoint)
    dead.recover("j", gate.source, *["ok"] * 1000)
    gate.wait_started()
    time.sleep(0.3)  # the last progress has left: from now on there is nothing to send to it
    dead.close()

    def only_job():
        client.recover("k", "ok")
        ahead = client.expect("accepted", ())["queued"]
        client.send("cancel", job="k")
        client.expect("cancelled")
        return ahead == 0

    wait_for(only_job, "the dead client's job to be dropped")
    gate.open()
    client.recover("l", "ok")
    assert kinds(client.collect("l")) == ["result", "done"]


def test_before_hello_nothing_is_answered_but_an_error(server):
    with BareClient(server.endpoint, hello=False) as client:
        for kind in ("ping", "shutdown"):
            client.send(kind, "r")
            error = client.expect("error", ())
            assert (error["code"], error["request"]) == ("hello_first", "r")
        client.recover("j", "ok")
        assert client.expect("error", ())["code"] == "hello_first"


@pytest.mark.parametrize("token", ["", "wrong", "a token for test", "größe", "x" * 128])
def test_a_wrong_token_is_refused(server, token):
    with BareClient(server.endpoint, hello=False) as client:
        client.send("hello", token=token, client="test")
        assert client.expect("error", ())["code"] == "bad_token"
        client.send("ping")
        assert client.expect("error", ())["code"] == "hello_first"


def test_messages_that_are_none_are_answered_and_survived(server, client):
    rng = random.Random(5)
    ping = {"v": 1, "type": "ping", "request": "", "arrays": []}
    cases = [
        ([b""], "malformed"),
        ([b"\xc1\xff"], "malformed"),
        ([msgpack.packb({**ping, "v": 99})], "version"),
        ([msgpack.packb({**ping, "type": "nonsense"})], "unknown_type"),
        ([msgpack.packb({**ping, "type": "welcome"})], "malformed"),
        (protocol.encode("pong"), "unknown_type"),  # what only a server says
        ([msgpack.packb({**ping, "x" * 60000: 1})], "malformed"),
        ([msgpack.packb(ping)] * 40, "malformed"),
        ([b"\0" * (protocol.MAX_HEADER_BYTES + 1)], "too_large"),
        ([b"\x91" * 200_000 + b"\x90"], "malformed"),
        ([b"\xdd\xff\xff\xff\xff"], "malformed"),
        *(([rng.randbytes(rng.randrange(200))], "malformed") for _ in range(50)),
    ]
    for frames, code in cases:
        client.socket.send_multipart(frames)
        assert client.expect("error")["code"] == code
    header = msgpack.unpackb(protocol.encode("cancel", "r9", job="j9")[0])
    client.socket.send(msgpack.packb({**header, "more": 1}))
    error = client.expect("error")
    assert (error["request"], error["job"]) == ("r9", "j9")
    client.recover("j", "ok")
    assert kinds(client.collect("j")) == ["result", "done"]


@contextlib.contextmanager
def server_here(**options):
    """A server in a thread of this process, for options that the command line does not offer."""
    from backend.server import Server, ServerOptions

    server = Server(ServerOptions(token=TOKEN, **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_frame_over_the_limit_ends_only_its_connection(monkeypatch):
    monkeypatch.setattr(protocol, "MAX_ARRAY_BYTES", 100_000)  # instead of hundreds of MiB
    with (
        server_here(factory="no:such", model="") as server,
        BareClient(server.endpoint) as good,
        BareClient(server.endpoint) as bad,
    ):
        bad.socket.send(b"\0" * 200_000)
        while not bad.socket.poll(100):  # ZeroMQ connects again by itself, as somebody new
            bad.send("ping")
        assert bad.expect("error")["code"] == "hello_first"
        good.send("ping")
        good.expect("pong", ())


def test_a_picture_that_hangs_ends_the_worker_and_not_the_server(gate, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with (
        server_here(factory="fake_recoverer:FakeRecoverer", task_seconds=2.0) as server,
        BareClient(server.endpoint) as client,
    ):
        client.recover("j", gate.source)
        assert client.collect("j")[-1][1]["code"] == "worker_died"
        client.recover("k", "ok")
        assert kinds(client.collect("k")) == ["result", "done"]


def test_too_many_clients_are_refused(monkeypatch):
    from backend.serving import sessions

    monkeypatch.setattr(sessions, "MAX_SESSIONS", 1)
    with (
        server_here(factory="no:such", model="") as server,
        BareClient(server.endpoint),
        BareClient(server.endpoint, hello=False) as second,
    ):
        second.send("hello", token=TOKEN, client="second")
        assert second.expect("error", ())["code"] == "busy"


def test_a_client_that_is_silent_too_long_is_dropped(monkeypatch):
    from backend.serving import sessions

    monkeypatch.setattr(sessions, "CLIENT_SILENCE_SECONDS", 2.0)
    with server_here(factory="no:such", model="") as server, BareClient(server.endpoint) as client:
        for _ in range(5):  # together longer than the limit
            time.sleep(0.5)
            client.send("ping")
            client.expect("pong", ())
        time.sleep(3.0)
        client.send("ping")
        assert client.expect("error")["code"] == "hello_first"


def test_a_peer_that_vanishes_is_dropped_and_the_full_one_too():
    """ROUTER_MANDATORY: EHOSTUNREACH and EAGAIN end a session instead of losing messages silently."""
    from backend.serving.sessions import MAX_OUTBOX, Sessions

    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.linger, router.router_mandatory, router.sndhwm = 0, 1, 1
    port = router.bind_to_random_port("tcp://127.0.0.1")
    peer = context.socket(zmq.DEALER)
    peer.linger, peer.rcvhwm = 0, 1
    peer.connect(f"tcp://127.0.0.1:{port}")
    try:
        peer.send(b"hi")
        assert router.poll(30_000)
        name, _ = router.recv_multipart()
        sessions = Sessions(router)
        sessions.open(name, "full")
        sessions.open(b"was never there", "gone")
        sessions.send(b"was never there", [b"x"])
        assert [session.client for session in sessions.tick()] == ["gone"]
        big = b"x" * 1_000_000
        for _ in range(200):
            sessions.send(name, [big], droppable=True)  # may be lost, never waits
        assert sessions.tick() == []
        sent = 0
        while sessions.reachable(name):
            sessions.send(name, [big])
            sent += 1
            assert sent < 1000
        peer.recv()
        received = 1
        while peer.poll(200) or sessions.waiting():  # what was kept back goes out once there is room
            assert sessions.tick() == []
            if peer.poll(0):
                peer.recv()
                received += 1
        assert received >= sent
        for _ in range(MAX_OUTBOX + 1000):
            sessions.send(name, [big])
        assert [session.client for session in sessions.tick()] == ["full"]
        sessions.send(name, [b"x"])  # forgotten: best effort
    finally:
        peer.close(0)
        router.close(0)
        context.term()


def test_shutdown_ends_server_and_worker():
    with ServerProcess() as server, BareClient(server.endpoint) as client:
        wait_for(server.worker_pids, "the worker")
        pids = server.worker_pids()
        client.send("shutdown")
        assert server.process.wait(30) == 0
        wait_for(lambda: not any(map(is_running, pids)), "the worker to end")
