"""What every process of tests does: one thread each where several work side by side, and memory given back."""

from __future__ import annotations

import ctypes
import gc
import os

import pytest

if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # before torch is imported, here and in the processes that tests start
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module", autouse=True)
def _memory_given_back():
    """After each file: networks and trainers lie in circles, and the allocator keeps what was freed."""
    yield
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)
