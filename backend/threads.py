"""The number of threads of numpy's linear algebra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # searches all loaded libraries, so only once


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limits numpy and scipy to one BLAS thread; torch's threads are unchanged.

    For many small matrices, where several threads mostly wait for each other: on two busy cores the motion step takes
    14 ms of processor time per frame with one thread, 31 with two.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield
