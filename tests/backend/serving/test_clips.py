"""Clips as a client sees them: chunks in order, acknowledgements, cancel, and workers that are killed."""

import os
import signal
import time

import numpy as np
import pytest
from server_process import BareClient, ServerProcess, wait_for

from backend.clips.job_file import ClipJobFile
from backend.protocol import RESULT_WINDOW


@pytest.fixture(scope="module")
def server():
    with ServerProcess("--clip-factory", "fake_clip:FakeClip") as process:
        yield process


@pytest.fixture
def start(client, tmp_path):
    def start(order, name="j"):
        ClipJobFile(source=order, out=str(tmp_path / name)).save(tmp_path / f"{name}.json")
        client.send("recover_clip", "request " + name, job=name, file=str(tmp_path / f"{name}.json"))
        return tmp_path / name

    return start


def collect(client, job="j"):
    found = []
    while not found or found[-1][0] not in ("done", "cancelled", "error"):
        kind, header, arrays = client.receive()
        if kind not in ("accepted", "progress", "pong"):
            found.append((kind, {**header, "_arrays": {k: a.copy() for k, a in arrays.items()}}))
        if kind == "chunk":
            client.send("ack", job=job, index=header["index"])
    return found


def journaled(out):
    path = out / "journal.txt"
    return path.read_text().split() if path.exists() else []


def test_a_clip_comes_in_chunks_and_ends_with_the_final_motions(client, start):
    start("6")
    found = collect(client)
    assert [kind for kind, _ in found] == ["clip", *["chunk"] * 6, "people", "chunk", "done"]
    headers = [header for _, header in found]
    assert headers[0]["fps"] == [30000, 1001]
    assert (headers[0]["frames"], headers[0]["resumed"]) == (6, 0)
    assert [h["index"] for h in headers if "index" in h] == list(range(7))
    assert [h["final"] for h in headers if "final" in h] == [False] * 6 + [True]
    assert headers[1]["lost"] == ["A frame is lost."]
    assert headers[2]["lost"] == []
    chunk = headers[5]["_arrays"]
    np.testing.assert_array_equal(chunk["frames"], [10, 11])
    assert chunk["contacts"].shape == (2, 2)
    assert len(headers[1]["world"]) == 12
    assert headers[7]["_arrays"]["thumbnails"].shape == (1, 4, 5, 3)


def test_progress_has_stage_and_frames(client, start, tmp_path):
    start(f"3 wait:{str(tmp_path / 'gate').replace('/', '|')}")
    wait_for((tmp_path / "gate.started").exists, "the second chunk")
    progress = []
    while not progress or progress[-1]["done"] < 1:
        kind, header, _ = client.receive()
        if kind == "progress":
            progress.append(header)
    assert (progress[-1]["total"], progress[-1]["stage"]) == (3, "detect")
    (tmp_path / "gate").touch()
    collect(client)


def test_chunks_wait_for_acknowledgements(client, start):
    out = start("20")
    wait_for(lambda: len(journaled(out)) >= RESULT_WINDOW, "the window to fill")
    time.sleep(0.3)
    assert len(journaled(out)) == RESULT_WINDOW
    kinds = []
    while kinds.count("chunk") < RESULT_WINDOW:
        kinds.append(client.receive()[0])
    for index in range(RESULT_WINDOW):
        client.send("ack", job="j", index=index)
    assert collect(client)[-1][0] == "done"


def test_cancel_is_answered_at_once_and_the_next_run_resumes(client, start, tmp_path):
    out = start(f"5 wait:{str(tmp_path / 'gate').replace('/', '|')}")
    wait_for((tmp_path / "gate.started").exists, "the second chunk")
    client.send("cancel", "c", job="j")
    # the second chunk still waits: `gate` does not exist yet
    assert client.expect("cancelled", skip=("pong", "progress", "accepted", "clip", "chunk"))["job"] == "j"
    wait_for((out / "closed").exists, "the worker to close the clip")
    (tmp_path / "gate").touch()
    start(f"5 wait:{str(tmp_path / 'gate').replace('/', '|')}")
    found = collect(client)
    assert found[0][1]["resumed"] == 1
    assert found[-1][0] == "done"


def test_after_a_workers_death_the_next_one_resumes(client, start, tmp_path):
    out = start(f"4 die:{str(tmp_path / 'died').replace('/', '|')}")
    found = collect(client)
    assert found[-1][0] == "done"
    clips = [header for kind, header in found if kind == "clip"]
    assert [header["resumed"] for header in clips] == [0, 1]
    assert journaled(out) == ["0", "1", "2", "3"]


def test_a_clip_that_always_kills_its_worker_ends(client, start):
    start("4 die")
    end = collect(client)[-1]
    assert (end[0], end[1]["code"]) == ("error", "worker_died")
    start("1")
    assert collect(client)[-1][0] == "done"


def test_a_killed_server_leaves_the_journal(client, start, tmp_path):
    with ServerProcess("--clip-factory", "fake_clip:FakeClip") as server, BareClient(server.endpoint) as lost:
        order = f"5 wait:{str(tmp_path / 'gate').replace('/', '|')}"
        job = ClipJobFile(source=order, out=str(tmp_path / "k"))
        job.save(tmp_path / "k.json")
        lost.send("recover_clip", "r", job="k", file=str(tmp_path / "k.json"))
        wait_for((tmp_path / "gate.started").exists, "the second chunk")
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
    (tmp_path / "gate").touch()
    start(order, "k")
    assert collect(client, "k")[0][1]["resumed"] == 1


@pytest.mark.parametrize(("order", "code"), [("3 bug", "internal"), ("3 nan", "not_finite")])
def test_a_failing_clip_ends_its_job_with_an_error(client, start, order, code):
    start(order)
    kind, header = collect(client)[-1]
    assert (kind, header["code"]) == ("error", code)


def test_missing_and_invalid_job_files_are_refused(client, tmp_path):
    client.send("recover_clip", "r", job="j", file=str(tmp_path / "none.json"))
    assert client.expect("error")["code"] == "file_missing"
    (tmp_path / "bad.json").write_text("{}")
    client.send("recover_clip", "r", job="j", file=str(tmp_path / "bad.json"))
    assert client.expect("error")["code"] == "bad_job"


def test_photos_are_recovered_between_the_chunks_of_a_clip(client, start):
    start("200")
    client.recover("photo", "ok")
    kinds = []
    while "result" not in kinds:
        kind, header, _ = client.receive()
        kinds.append(kind)
        if kind == "chunk":
            client.send("ack", job="j", index=header["index"])
    assert kinds.count("chunk") < 20
    client.send("cancel", job="j")
