"""How many threads numpy's linear algebra takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # looks through all loaded libraries: once is enough


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """numpy and scipy use one thread: for many small matrices, where several threads mostly wait for each other.

    Measured on two cores with other work beside: the motion step takes 14 ms of processor time per frame with one
    thread, 31 with two.  torch's own threads are left alone.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield
