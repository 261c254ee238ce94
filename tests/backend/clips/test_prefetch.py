"""Frames decoded in advance: the same frames, the same losses, and a thread that ends."""

import threading
import time

import pytest

from backend.clips.prefetch import Prefetcher
from backend.errors import Cancelled


def frames(lost, count=20, error_at=None, closed=None):
    try:
        for k in range(count):
            if k == error_at:
                raise ValueError("broken")
            if k % 5 == 4:
                lost.append(f"before {k}")
            yield k
        lost.append("at the end")
    finally:
        if closed is not None:
            closed.append(True)


def read(prefetcher, pause=0.0):
    found = []
    while (frame := prefetcher.next(lambda: None)) is not None:
        found.append((frame, len(prefetcher.lost)))
        time.sleep(pause)
    return found


@pytest.mark.parametrize("pause", [0.0, 0.002])
def test_losses_belong_to_their_frames_at_any_speed(pause):
    lost = []
    prefetcher = Prefetcher(frames(lost), lost)
    assert read(prefetcher, pause) == [(k, (k + 1) // 5) for k in range(20)]
    assert prefetcher.lost[-1] == "at the end"
    assert prefetcher.next(lambda: None) is None
    prefetcher.close()


def test_an_error_is_raised_in_place_of_its_frame():
    lost = []
    prefetcher = Prefetcher(frames(lost, error_at=3), lost)
    assert [prefetcher.next(lambda: None) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="broken"):
        prefetcher.next(lambda: None)
    prefetcher.close()


def test_close_before_the_end_closes_the_file():
    lost, closed = [], []
    prefetcher = Prefetcher(frames(lost, 1000, closed=closed), lost)
    assert prefetcher.next(lambda: None) == 0
    prefetcher.close()
    assert closed == [True]
    assert not any(thread.name == "decode" and thread.is_alive() for thread in threading.enumerate())


def test_waiting_can_be_cancelled():
    resume = threading.Event()

    def stuck():
        resume.wait(20)
        yield 1

    def cancel():
        raise Cancelled

    prefetcher = Prefetcher(stuck(), [])
    with pytest.raises(Cancelled):
        prefetcher.next(cancel)
    resume.set()
    prefetcher.close()
