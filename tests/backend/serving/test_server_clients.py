"""Clients without a token, with invalid messages, silent ones, and ones that disappear."""

from __future__ import annotations

import random
import time

import msgpack
import pytest
import zmq
from server_process import TOKEN, BareClient, Clock, kinds, server_here, wait_for

from backend import protocol
from backend.serving import server as server_module
from backend.serving import sessions


def test_before_hello_every_message_is_answered_with_an_error(server):
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


def test_invalid_messages_are_answered_with_errors(client):
    rng = random.Random(5)
    ping = {"v": 1, "type": "ping", "request": "", "arrays": []}
    cases = [
        ([b""], "malformed"),
        ([b"\xc1\xff"], "malformed"),
        ([msgpack.packb({**ping, "v": 99})], "version"),
        ([msgpack.packb({**ping, "type": "nonsense"})], "unknown_type"),
        ([msgpack.packb({**ping, "type": "welcome"})], "malformed"),
        (protocol.encode("pong"), "unknown_type"),  # only a server sends it
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


def test_a_frame_over_the_limit_ends_only_its_connection(monkeypatch):
    monkeypatch.setattr(protocol, "MAX_ARRAY_BYTES", 100_000)  # instead of hundreds of MiB
    with (
        server_here(factory="no:such", model="") as server,
        BareClient(server.endpoint) as good,
        BareClient(server.endpoint) as bad,
    ):
        bad.socket.send(b"\0" * 200_000)
        while not bad.socket.poll(100):  # ZeroMQ reconnects automatically, as a new client
            bad.send("ping")
        assert bad.expect("error")["code"] == "hello_first"
        good.send("ping")
        good.expect("pong", ())


def test_too_many_clients_are_refused(monkeypatch):
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 1)
    with (
        server_here(factory="no:such", model="") as server,
        BareClient(server.endpoint),
        BareClient(server.endpoint, hello=False) as second,
    ):
        second.send("hello", token=TOKEN, client="second")
        assert second.expect("error", ())["code"] == "busy"


def test_a_client_that_is_silent_too_long_is_dropped(monkeypatch, caplog):
    clock, limit = Clock(), 3600.0
    caplog.set_level("INFO", "recover-mesh.server")
    monkeypatch.setattr(sessions, "CLIENT_SILENCE_SECONDS", limit)
    for module in (sessions, server_module):
        monkeypatch.setattr(module, "time", clock)
    with server_here(factory="no:such", model="") as server, BareClient(server.endpoint) as client:
        for k in range(5):  # together longer than the limit
            clock.ahead += limit / 2
            client.send("ping", f"ping {k}")
            while client.expect("pong", ())["request"] != f"ping {k}":
                pass  # an unrequested `pong`, by which the server probes for dead clients
        assert "dropped" not in caplog.text
        clock.ahead += 2 * limit
        wait_for(lambda: "dropped: it was silent" in caplog.text, "the client to be dropped")
        client.send("ping")
        assert client.expect("error")["code"] == "hello_first"


def test_the_jobs_of_a_dead_client_are_cancelled(server, client, gate):
    dead = BareClient(server.endpoint)
    dead.recover("j", gate.source, *["ok"] * 1000)
    gate.wait_started()
    time.sleep(0.3)  # the last progress is sent: from now on there is nothing to send to it
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


def test_a_vanished_peer_and_a_full_one_are_dropped():
    """With ROUTER_MANDATORY, EHOSTUNREACH and EAGAIN end a session; without it messages are lost silently."""
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
        opened = sessions.Sessions(router)
        opened.open(name, "full")
        opened.open(b"was never there", "gone")
        opened.send(b"was never there", [b"x"])
        assert [session.client for session in opened.tick()] == ["gone"]
        big = b"x" * 1_000_000
        for _ in range(200):
            opened.send(name, [big], droppable=True)  # may be lost, never blocks
        assert opened.tick() == []
        sent = 0
        while opened.reachable(name):
            opened.send(name, [big])
            sent += 1
            assert sent < 1000
        peer.recv()
        received = 1
        while peer.poll(200) or opened.waiting():  # queued messages are sent once there is room
            assert opened.tick() == []
            if peer.poll(0):
                peer.recv()
                received += 1
        assert received >= sent
        for _ in range(sessions.MAX_OUTBOX + 1000):
            opened.send(name, [big])
        assert [session.client for session in opened.tick()] == ["full"]
        opened.send(name, [b"x"])  # to a closed session: no error
    finally:
        peer.close(0)
        router.close(0)
        context.term()
