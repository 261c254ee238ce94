"""The journal: its chunks survive, damaged ones are made again, those of another job are never mixed in."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from backend.clips.journal import Journal, JournalLock
from backend.errors import BadInput, RecoverMeshError


def chunk(number):
    return {"numbers": np.arange(3) + 3 * number, "poses": np.full((2, 24, 3), number / 7)}


def filled(out, count=3):
    journal = Journal(out, "key", "clip")
    for k in range(count):
        journal.append(chunk(k))
    return journal


def test_chunks_are_read_back_bit_by_bit(tmp_path):
    filled(tmp_path)
    again = Journal(tmp_path, "key", "clip")
    assert again.resumed == again.count == 3
    for k, read in enumerate(again):
        for name, value in chunk(k).items():
            assert read[name].dtype == value.dtype
            np.testing.assert_array_equal(read[name], value)


@pytest.mark.parametrize("key", [("other", "clip"), ("key", "another clip")])
def test_another_jobs_chunks_are_set_aside(tmp_path, key):
    filled(tmp_path)
    journal = Journal(tmp_path, *key)
    assert journal.count == 0
    assert journal.set_aside
    assert len(list((tmp_path / "journal-old").glob("chunk-*.npz"))) == 3


def test_chunks_without_a_header_are_ignored(tmp_path):
    filled(tmp_path)
    (tmp_path / "journal" / "journal.json").unlink()
    assert Journal(tmp_path, "key", "clip").count == 0


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", None])
def test_a_damaged_last_chunk_is_made_again(tmp_path, damage):
    journal = filled(tmp_path)
    path = tmp_path / "journal" / "chunk-000002.npz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage is None else damage)
    journal = Journal(tmp_path, "key", "clip")
    assert journal.count == 2
    journal.append(chunk(2))
    np.testing.assert_array_equal(journal.read(2)["numbers"], chunk(2)["numbers"])


def test_chunks_after_a_missing_one_are_ignored(tmp_path):
    filled(tmp_path)
    (tmp_path / "journal" / "chunk-000001.npz").unlink()
    assert Journal(tmp_path, "key", "clip").count == 1


def test_a_damaged_chunk_in_the_middle_is_named(tmp_path):
    filled(tmp_path)
    (tmp_path / "journal" / "chunk-000001.npz").write_bytes(b"nothing")
    with pytest.raises(BadInput, check=lambda error: error.code == "bad_journal") as caught:
        list(Journal(tmp_path, "key", "clip"))
    assert "chunk-000001" in caught.value.message


def test_a_full_disk_keeps_the_earlier_chunks(tmp_path, monkeypatch):
    journal = filled(tmp_path)

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(RecoverMeshError, check=lambda error: error.code == "disk_full"):
        journal.append(chunk(3))
    monkeypatch.undo()
    assert sorted(p.name for p in (tmp_path / "journal").iterdir()) == [
        "chunk-000000.npz", "chunk-000001.npz", "chunk-000002.npz", "journal.json",
    ]  # fmt: skip
    assert Journal(tmp_path, "key", "clip").count == 3


def test_one_process_at_a_time_and_a_killed_one_frees_the_lock(tmp_path):
    code = "import sys, time; from pathlib import Path; from backend.clips.journal import JournalLock; "
    code += f"lock = JournalLock(Path({str(tmp_path)!r})); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BadInput, check=lambda error: error.code == "job_running"):
            JournalLock(tmp_path)
        other.kill()
        other.wait()
    JournalLock(tmp_path).release()
    JournalLock(tmp_path).release()


def test_another_thread_may_release_the_lock(tmp_path):
    lock = JournalLock(tmp_path)
    with pytest.raises(BadInput, match="Another process works on"):
        JournalLock(tmp_path)
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    JournalLock(tmp_path).release()
