"""Frames decoded in advance, in a thread of their own."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

_QUEUE_SIZE = 4  # frames; decoding takes uneven time, keyframes longest
_POLL_SECONDS = 0.05  # between checks whether to stop waiting


class Prefetcher:
    """Iterates over `frames` in a thread; frames and `lost` do not depend on its speed.

    lost: what could not be read up to the last frame returned, as sentences.
    """

    def __init__(self, frames: Iterator[Any], lost: list[str]) -> None:
        """lost: the clip's list, which grows while `frames` are read."""
        self.lost: tuple[str, ...] = ()
        self._frames, self._source_lost = frames, lost
        # frame (None at the end), the clip's `lost` after it, error
        self._queue: queue.Queue[tuple[Any, tuple[str, ...], BaseException | None]] = queue.Queue(_QUEUE_SIZE)
        self._stop = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._decode, name="decode", daemon=True)
        self._thread.start()

    def next(self, waiting: Callable[[], None]) -> Any:
        """The next frame, None after the last.  waiting: called repeatedly until there is one; may raise to cancel."""
        while not self._ended:
            try:
                frame, self.lost, error = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                waiting()
                continue
            self._ended = frame is None
            if error is not None:
                raise error
            return frame
        return None

    def close(self) -> None:
        """Stop the thread; it closes `frames`, and so the clip's file."""
        self._stop.set()
        self._ended = True
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._queue.get(timeout=_POLL_SECONDS)
        self._thread.join()

    def _decode(self) -> None:
        error = None
        try:
            for frame in self._frames:
                if not self._put(frame):
                    break
        except BaseException as raised:  # `next` raises it in its own thread
            error = raised
        close = getattr(self._frames, "close", None)
        if close is not None:
            close()
        self._put(None, error)

    def _put(self, frame: Any, error: BaseException | None = None) -> bool:
        item = frame, tuple(self._source_lost), error
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=_POLL_SECONDS)
                return True
        return False
