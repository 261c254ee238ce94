"""What every process of tests does: one thread each where several work side by side, and memory given back."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported, here and in the processes that tests start
    os.environ.setdefault("OMP_NUM_THREADS", "1")

_STATM = Path("/proc/self/statm")
_GROWTH = 65_536  # pages of 4 kB: 256 MB
_before = 0


def _resident() -> int:
    """Pages of this process in memory; 0 where Linux's /proc is not."""
    return int(_STATM.read_text().split()[1]) if _STATM.is_file() else 0


def pytest_runtest_logfinish() -> None:
    """After a test that took much memory.  A trainer, its module and its optimiser hold each other: a network of 160
    million parameters stays with its gradients and moments until Python looks for circles, and glibc keeps what is
    freed."""
    global _before
    if _resident() - _before > _GROWTH:
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
        if trim is not None:
            trim(0)
        _before = _resident()
