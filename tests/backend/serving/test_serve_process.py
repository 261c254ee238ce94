"""`serve` as a process: its ready line, how it ends, what it refuses, and its keys."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import zmq
import zmq.auth
from server_process import ROOT, TIMEOUT, TOKEN, BareClient, ServerProcess, is_running, wait_for

from backend import __version__, protocol
from backend.errors import BadInput
from backend.serving.security import add_client, bind_address, choose_token, same_token


def all_pids(server: ServerProcess) -> list[int]:
    wait_for(server.worker_pids, "the worker")
    return [server.process.pid, *server.worker_pids()]


def wait_ended(server: ServerProcess, pids: list[int]) -> int:
    code = server.process.wait(TIMEOUT)
    wait_for(lambda: not any(map(is_running, pids)), f"{pids} to end")
    return code


def test_one_ready_line_is_printed():
    with ServerProcess(stdin=subprocess.PIPE) as server:
        assert server.ready == {
            "event": "ready",
            "endpoint": server.endpoint,
            "token": TOKEN,
            "pid": server.process.pid,
            "protocol": protocol.VERSION,
            "version": __version__,
        }
        assert server.endpoint.startswith("tcp://127.0.0.1:")
        pids = all_pids(server)
        server.process.send_signal(signal.SIGTERM)
        assert wait_ended(server, pids) == 0
        assert server.process.stdout.read() == ""  # nothing after the ready line


def test_interrupt_ends_it():
    with ServerProcess() as server:
        pids = all_pids(server)
        server.process.send_signal(signal.SIGINT)
        assert wait_ended(server, pids) == 0


def test_with_watch_stdin_it_ends_when_standard_input_closes(tmp_path):
    with (
        ServerProcess("--watch-stdin", stdin=subprocess.PIPE) as server,
        BareClient(server.endpoint) as client,
    ):
        gate = tmp_path / "gate"
        client.recover("j", f"wait:{gate}")
        wait_for((tmp_path / "gate.started").exists, "the worker to begin the image")
        pids = all_pids(server)
        assert server.process.stdin is not None
        server.process.stdin.close()
        server.process.stdin = None
        assert wait_ended(server, pids) == 0


def test_without_watch_stdin_standard_input_is_ignored():
    with ServerProcess(stdin=subprocess.DEVNULL) as server, BareClient(server.endpoint) as client:
        client.recover("j", "ok")
        assert client.collect("j")[-1][0] == "done"


def test_the_worker_of_a_killed_server_ends():
    with ServerProcess() as server, BareClient(server.endpoint) as client:
        client.recover("j", "ok")
        client.collect("j")  # the worker is idle now: it sees only the end of its input
        pids = all_pids(server)
        server.process.kill()
        wait_ended(server, pids)


def refused(*args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "backend.serving.server", *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_taken_port_is_reported():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = refused("--port", str(port))
    assert f"127.0.0.1:{port} is in use" in message
    assert "--port 0" in message


def test_other_refusals(tmp_path):
    assert "--curve-keys" in refused("--host", "0.0.0.0")
    assert "--add-client" in refused("--host", "0.0.0.0", "--curve-keys", str(tmp_path))
    assert "keypoint-fit" in refused("--model", "none")
    assert "token" in refused("--token", "")


@pytest.mark.parametrize("host", ["0.0.0.0", "*", "192.168.1.2", "::", "example.org", "127.0.0.1.example.org", ""])
def test_only_loopback_without_keys(host):
    with pytest.raises(BadInput, check=lambda error: error.code == "not_loopback"):
        bind_address(host, 0, encrypted=False)


def test_addresses():
    assert bind_address("localhost", 0, False) == "tcp://127.0.0.1:*"
    assert bind_address("::1", 5555, False) == "tcp://[::1]:5555"
    assert bind_address("0.0.0.0", 5555, True) == "tcp://0.0.0.0:5555"
    with pytest.raises(BadInput):
        bind_address("127.0.0.1", 65536, False)


def test_tokens():
    assert choose_token(None) != choose_token(None)
    assert choose_token("mine") == "mine"
    with pytest.raises(BadInput):
        choose_token("x" * 129)
    assert same_token("größe", "größe")
    assert not same_token("größe", "grosse")
    assert not same_token("a", "a\udcff")


# ---- keys ------------------------------------------------------------------------------------------------


def connect(endpoint: str, server_key: Path, keys: tuple[bytes, bytes] | None) -> tuple[zmq.Context, zmq.Socket]:
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    if keys is not None:
        dealer.curve_serverkey, _ = zmq.auth.load_certificate(server_key)
        dealer.curve_publickey, dealer.curve_secretkey = keys
    dealer.connect(endpoint)
    dealer.send_multipart(protocol.encode("hello", token=TOKEN, client="curve"))
    return context, dealer


def test_only_clients_with_an_authorized_key_are_accepted(tmp_path):
    secret = add_client(tmp_path, "artist")
    assert secret.stat().st_mode & 0o077 == 0
    public, private = zmq.auth.load_certificate(secret)
    assert private is not None
    key = tmp_path / "server.key"
    with ServerProcess("--curve-keys", str(tmp_path), "--host", "0.0.0.0") as server:
        endpoint = server.endpoint.replace("0.0.0.0", "127.0.0.1")
        strangers = [connect(endpoint, key, zmq.curve_keypair()), connect(endpoint, key, None)]
        context, known = connect(endpoint, key, (public, private))
        try:
            assert known.poll(TIMEOUT * 1000)
            assert protocol.decode(known.recv_multipart())[0] == "welcome"
            # the strangers connected earlier: if they were accepted, their answers would be here by now or soon
            assert not any(dealer.poll(500) for _, dealer in strangers)
        finally:
            for other, dealer in (*strangers, (context, known)):
                dealer.close(0)
                other.term()


def test_a_client_is_added_once_and_with_a_valid_name(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "backend.serving.server", "--curve-keys", str(tmp_path), "--add-client", "artist"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert str(tmp_path / "clients" / "artist.key_secret") in done.stdout
    first = (tmp_path / "server.key_secret").read_bytes()
    add_client(tmp_path, "second")
    assert (tmp_path / "server.key_secret").read_bytes() == first
    for name in ("artist", "../x", "", "server", "a/b"):
        with pytest.raises(BadInput):
            add_client(tmp_path, name)
