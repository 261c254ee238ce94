"""The server as a client sees it: a real process with a real worker, and a fake recoverer."""

from __future__ import annotations

import time

import numpy as np
from server_process import TIMEOUT, BareClient, ServerProcess, is_running, kinds, kinds_within, wait_for

from backend.protocol import RESULT_WINDOW
from backend.serving.jobs import PROGRESS_SECONDS


def test_results_come_in_order_and_a_bad_source_does_not_stop_the_job(client):
    client.recover("j", "ok", "bad", "two", "bug", "nan", "nobody", "print", focal_px=20.0, people="3")
    found = client.collect("j")
    failed = "source_failed"
    assert kinds(found) == ["result", failed, "result", failed, failed, "result", "result", "done"]
    assert [header["index"] for _, header in found[:-1]] == [0, 1, 2, 3, 4, 5, 6]
    assert all(header["request"] == "request j" for _, header in found)
    headers = [header for _, header in found]
    assert headers[0]["camera"] == [520.0, 500.0, 319.5, 239.5, 640, 480]
    assert headers[0]["model"] == "keypoint-fit auto 3"  # all options reached the recoverer
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


def test_encoded_images_are_used_for_empty_sources(client):
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
    began = time.monotonic()
    client.recover("j", "ok", "stages:600", "ok")
    progress = [client.expect("progress", ("accepted", "result")) for _ in range(12)]
    # thousands of stages were reported
    assert len(progress) <= 2 + (time.monotonic() - began) / PROGRESS_SECONDS
    assert all(header["total"] == 3 for header in progress)
    assert all(0 <= header["fraction"] <= 1 for header in progress)
    assert {"detect", "fit"} & {header["stage"] for header in progress}
    client.send("cancel", job="j")
    client.expect("cancelled")


def test_a_client_that_does_not_acknowledge_gets_a_window_of_results(client, server):
    client.recover("j", *["ok"] * 20)
    for index in range(RESULT_WINDOW):
        assert client.expect("result")["index"] == index
    with BareClient(server.endpoint) as other:  # meanwhile the worker is free for others
        other.recover("k", "ok")
        assert kinds(other.collect("k")) == ["result", "done"]
    assert kinds_within(client, 0.5) <= {"progress"}
    client.send("ack", job="j", index=1)
    assert client.expect("result")["index"] == RESULT_WINDOW
    client.send("ack", job="j", index=1)  # a second time: ignored
    client.send("ack", job="j", index=17)  # of a result that was never sent: ignored
    client.send("ack", job="none", index=0)
    assert kinds_within(client, 0.5) <= {"progress"}
    for index in (0, 2, 3):
        client.send("ack", job="j", index=index)
        client.expect("result")
    client.send("cancel", job="j")
    client.expect("cancelled")


def test_memory_stays_bounded_when_a_client_does_not_read():
    with ServerProcess() as server, BareClient(server.endpoint, hwm=1) as client:
        wait_for(server.worker_pids, "the worker")
        before = server.memory_bytes()
        for k in range(3):
            client.recover(f"j{k}", *["big"] * 50)  # 16 MB each, 2.4 GB in all
        with BareClient(server.endpoint) as other:
            other.recover("k", "ok")
            assert kinds(other.collect("k")) == ["result", "done"]
            for _ in range(3):  # the server serves others
                other.recover("k", *["ok"] * 10)
                other.collect("k")
        assert server.memory_bytes() - before < (3 * RESULT_WINDOW + 4) * 2 * 16_000_000


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


def test_shutdown_ends_server_and_worker():
    with ServerProcess() as server, BareClient(server.endpoint) as client:
        wait_for(server.worker_pids, "the worker")
        pids = server.worker_pids()
        client.send("shutdown")
        assert server.process.wait(TIMEOUT) == 0
        wait_for(lambda: not any(map(is_running, pids)), "the worker to end")
