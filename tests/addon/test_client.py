"""The add-on's client with a real server.  No bpy: the package's `__init__` is not imported."""

from __future__ import annotations

import importlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest
import zmq

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "backend" / "serving"))

from server_process import TIMEOUT, TOKEN, Gate, ServerProcess, wait_for  # noqa: E402


def load_client():
    """Import the client as part of a package of another name, as Blender does, but without Blender."""
    package = types.ModuleType("addon_without_blender")
    package.__path__ = [str(ROOT / "blender_addon")]
    sys.modules[package.__name__] = package
    return importlib.import_module("addon_without_blender.client.client")


c = load_client()
events, protocol = (sys.modules[f"addon_without_blender.{name}"] for name in ("client.events", "protocol"))


@pytest.fixture(scope="module")
def server():
    with ServerProcess() as process:
        yield process


@pytest.fixture
def client(server):
    client = c.Client("test client")
    client.connect(server.endpoint, TOKEN, timeout=TIMEOUT)
    yield client
    client.close()


@pytest.fixture
def gate(tmp_path):
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


def drain(job):
    """All events of a job without Progress, up to the final one."""
    found = []
    while not found or not isinstance(found[-1], c.FINAL_EVENTS):
        event = job.events.get(timeout=TIMEOUT)
        if not isinstance(event, events.Progress):
            found.append(event)
    assert job.finished
    return found


def types_of(found):
    return [type(event).__name__ for event in found]


def error_of(call, *args, **kwargs):
    with pytest.raises(c.ClientError) as caught:
        call(*args, **kwargs)
    assert caught.value.message
    return caught.value


def test_client_imports_without_bpy_and_backend():
    code = (
        "import sys, types, importlib\n"
        f"p = types.ModuleType('p'); p.__path__ = [{str(ROOT / 'blender_addon')!r}]; sys.modules['p'] = p\n"
        "importlib.import_module('p.client.client')\n"
        "assert not {'bpy', 'backend', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/", timeout=240)


def test_welcome(client):
    assert client.connected
    assert client.welcome.server.startswith("recover-mesh ")
    assert {"name", "label", "ready", "body", "license", "hint"} == set(client.welcome.models[0])
    assert client.welcome.bodies


def test_a_job_from_paths_and_bytes(client):
    job = client.recover(["two", b"picture", "bad", "nobody"], "keypoint-fit", people=3, focal_px=10)
    first, second, failed, nobody, _ = found = drain(job)
    assert types_of(found) == ["Result", "Result", "SourceFailed", "Result", "Done"]
    assert first.source == str(Path("two").absolute())
    assert first.arrays["vertices"].shape == (2, 50, 3)
    first.arrays["vertices"][:] = 0  # writable: a copy, not a view of the message
    assert first.camera == [510.0, 500.0, 319.5, 239.5, 640, 480]
    assert first.model.endswith(" 3")
    assert second.arrays["picture"].tobytes() == b"picture"
    assert (failed.index, failed.code, failed.hint) == (2, "not_an_image", "Choose a photo.")
    assert nobody.arrays["poses"].shape == (0, 24, 3)


def test_progress_begins_with_queued_and_names_stages(client):
    job = client.recover(["stages:600"], "keypoint-fit")
    stages = []
    while not {"detect", "fit"} & set(stages):
        event = job.events.get(timeout=TIMEOUT)
        assert isinstance(event, events.Progress)
        assert 0 <= event.fraction <= 1
        assert event.total == 1
        stages.append(event.stage)
    assert stages[0] == "queued"
    job.cancel()
    assert types_of(drain(job)) == ["Cancelled"]


def test_taking_results_acknowledges_them(client):
    job = client.recover(["ok"] * 20, "keypoint-fit")
    wait_for(lambda: job.events.qsize() >= protocol.RESULT_WINDOW, "the first results")
    time.sleep(0.3)  # more would arrive if results were acknowledged before they are taken
    waiting = [event for event in list(job.events.queue) if isinstance(event, c.Result)]
    assert len(waiting) == protocol.RESULT_WINDOW
    results = drain(job)[:-1]
    assert [result.index for result in results] == list(range(20))


def test_cancel(client, gate):
    job = client.recover(["ok", gate.source, "ok"], "keypoint-fit")
    gate.wait_started()
    job.cancel()
    job.cancel()
    assert types_of(drain(job)) == ["Result", "Cancelled"]
    job.cancel()  # after the end: no effect
    gate.path.touch()
    assert types_of(drain(client.recover(["ok"], "keypoint-fit"))) == ["Result", "Done"]
    with pytest.raises(queue.Empty):
        job.events.get_nowait()


def test_several_jobs_of_several_threads(client):
    found = {}

    def work(k):
        found[k] = drain(client.recover(["ok"] * 6, "keypoint-fit"))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert [types_of(found[k]) for k in range(5)] == [["Result"] * 6 + ["Done"]] * 5


def test_get_body(client):
    name = client.welcome.bodies[0]["name"]
    body = client.get_body(name)
    assert body.name == name
    assert body.joint_names == ("pelvis", "left_hip", "right_hip")
    assert body.arrays["parents"].tolist() == [-1, 0, 0]
    assert body.arrays["weights"].flags.writeable
    assert error_of(client.get_body, "none").code == "unknown_body"


def test_errors_of_a_job(client):
    error = drain(client.recover(["ok"], "no such model"))[-1]
    assert (error.code, type(error)) == ("unknown_model", c.Error)
    assert "keypoint-fit" in error.hint


def test_a_dead_worker_is_an_error_and_the_next_job_works(client):
    (error,) = drain(client.recover(["die"], "keypoint-fit"))
    assert (type(error).__name__, error.code) == ("Error", "worker_died")
    assert types_of(drain(client.recover(["ok"], "keypoint-fit"))) == ["Result", "Done"]


def test_bad_sources(client):
    recover = client.recover
    assert error_of(recover, [], "keypoint-fit").code == "malformed"
    assert error_of(recover, [""], "keypoint-fit").code == "bad_source"
    assert error_of(recover, ["a\udcff.png"], "keypoint-fit").code == "bad_source"
    assert error_of(recover, [b"x"] * (protocol.MAX_IMAGES + 1), "keypoint-fit").code == "too_large"
    assert error_of(recover, ["/x" * 300] * 4096, "keypoint-fit").code == "too_large"
    big = np.zeros(protocol.MAX_ARRAY_BYTES + 1, np.uint8)  # never written to, so that it takes no memory
    assert error_of(recover, [memoryview(big)], "keypoint-fit").code == "too_large"
    assert types_of(drain(recover(["ok"], "keypoint-fit"))) == ["Result", "Done"]


def test_close_is_quick_and_idempotent(server, gate):
    others = set(threading.enumerate())  # the add-on may have a client of its own
    client = c.Client()
    client.close()
    client.connect(server.endpoint, TOKEN, timeout=TIMEOUT)
    job = client.recover([gate.source], "keypoint-fit")
    gate.wait_started()
    client.close()
    client.close()
    assert types_of(drain(job))[-1] in ("Cancelled", "Error")
    assert not client.connected
    assert error_of(client.recover, ["ok"], "keypoint-fit").code == "not_connected"
    assert error_of(client.get_body, "open_body").code == "not_connected"
    left = set(threading.enumerate()) - others
    assert not [t for t in left if t.name == "recover-mesh client" and t.is_alive()]
    gate.path.touch()
    client.connect(server.endpoint, TOKEN, timeout=TIMEOUT)  # a closed client can connect again
    assert types_of(drain(client.recover(["ok"], "keypoint-fit"))) == ["Result", "Done"]
    client.close()


# ---- refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        ("tcp://192.168.0.1:5555", "not_loopback"),
        ("tcp://example.org:5555", "not_loopback"),
        ("tcp://127.0.0.1.example.org:5555", "not_loopback"),
        ("tcp://0.0.0.0:5555", "not_loopback"),
        ("ipc:///tmp/x", "bad_endpoint"),
        ("tcp://127.0.0.1", "bad_endpoint"),
        ("tcp://127.0.0.1:port", "bad_endpoint"),
        ("tcp://127.0.0.1:99999", "bad_endpoint"),
        ("", "bad_endpoint"),
    ],
)
def test_remote_and_invalid_endpoints_are_refused(endpoint, code):
    assert error_of(c.Client().connect, endpoint, TOKEN).code == code


def test_a_wrong_token(server):
    client = c.Client()
    assert error_of(client.connect, server.endpoint, "wrong", timeout=TIMEOUT).code == "bad_token"
    assert not client.connected


def test_connect_times_out(tmp_path):
    started = time.monotonic()
    assert error_of(c.Client().connect, "tcp://127.0.0.1:9", TOKEN, timeout=0.3).code == "no_answer"
    assert time.monotonic() - started < TIMEOUT


class FakeServer:
    """A server that answers each message with the frames of `answer`."""

    def __init__(self, answer):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.endpoint = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.answer = answer
        self.stopping = False
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()
        self.socket.close(0)
        self.context.term()

    def run(self):
        while not self.stopping:
            if self.socket.poll(20):
                client, *frames = self.socket.recv_multipart()
                for answer in self.answer(frames):
                    self.socket.send_multipart([client, *answer])


def welcome(frames):
    kind, header, _ = protocol.decode(frames)
    if kind == "hello":
        fields = {"server": "fake", "device": "cpu", "models": [], "bodies": []}
        yield protocol.encode("welcome", header["request"], None, **fields)


def test_another_protocol_version():
    import msgpack

    def newer(frames):
        header = msgpack.unpackb(frames[0])
        yield [msgpack.packb({"v": 2, "type": "welcome", "request": header["request"], "arrays": []})]

    with FakeServer(newer) as fake:
        error = error_of(c.Client().connect, fake.endpoint, TOKEN, timeout=TIMEOUT)
    assert error.code == "version"
    assert "same release" in error.hint


def test_malformed_server_message_ends_the_jobs():
    def nonsense(frames):
        yield from welcome(frames)
        if protocol.decode(frames)[0] == "recover":
            yield [b"nonsense"]

    client = c.Client()
    with FakeServer(nonsense) as fake:
        client.connect(fake.endpoint, TOKEN, timeout=TIMEOUT)
        assert drain(client.recover(["ok"], "m"))[-1].code == "malformed"
        assert error_of(client.recover, ["ok"], "m").code == "malformed"
        assert not client.connected
        client.close()


def test_a_silent_server_is_lost(monkeypatch):
    client = c.Client()
    with FakeServer(welcome) as fake:  # answers only `hello`
        client.connect(fake.endpoint, TOKEN, timeout=TIMEOUT)
        job = client.recover(["ok"], "m")
        monkeypatch.setattr(protocol, "LIVENESS_SECONDS", 1.0)
        error = drain(job)[-1]
        assert error.code == "backend_lost"
        client.close()


def test_a_killed_backend_is_noticed():
    client = c.Client()
    with ServerProcess() as server:
        client.connect(server.endpoint, TOKEN, timeout=TIMEOUT)
        job = client.recover(["stages:600"], "keypoint-fit")
        job.events.get(timeout=TIMEOUT)
        os.kill(server.process.pid, signal.SIGKILL)
        error = drain(job)[-1]
        assert (error.code, type(error)) == ("backend_lost", c.Error)
        assert error_of(client.recover, ["ok"], "keypoint-fit").code == "backend_lost"
        client.close()
    with ServerProcess() as server:  # a new server, the same client
        client.connect(server.endpoint, TOKEN, timeout=TIMEOUT)
        assert types_of(drain(client.recover(["ok"], "keypoint-fit"))) == ["Result", "Done"]
        client.close()


def test_keys(tmp_path):
    from backend.serving.security import add_client

    secret = add_client(tmp_path, "artist")
    keys = c.CurveKeys.load(str(tmp_path / "server.key"), str(secret))
    public, private = zmq.curve_keypair()
    stranger = c.CurveKeys(keys.server_public, public, private)
    with ServerProcess("--curve-keys", str(tmp_path)) as server:
        client = c.Client()
        error = error_of(client.connect, server.endpoint, TOKEN, timeout=TIMEOUT, curve=stranger)
        assert error.code == "bad_keys"
        assert error_of(client.connect, server.endpoint, TOKEN, timeout=1).code in ("bad_keys", "no_answer")
        client.connect(server.endpoint, TOKEN, timeout=TIMEOUT, curve=keys)
        assert types_of(drain(client.recover(["ok"], "keypoint-fit"))) == ["Result", "Done"]
        client.close()
    assert error_of(c.CurveKeys.load, str(tmp_path / "server.key"), str(tmp_path / "none")).code == "bad_keys"
    assert error_of(c.CurveKeys.load, str(tmp_path / "server.key"), str(tmp_path / "server.key")).code == "bad_keys"
