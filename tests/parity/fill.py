"""Deterministic weights for parity tests.

Every golden file was computed with weights of `fill_state_dict`: a value depends on the tensor's name, its shape and
the seed only, not on the machine, the framework or its version. So a test can rebuild a checkpoint from the list of
names and shapes, and no weights file is stored.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np


def fill_tensor(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """The float32 values of one tensor.

    The scales keep activations near 1 through deep networks: matrices and kernels are scaled by 1 / sqrt(fan_in);
    one-dimensional `weight`s and variances are near 1; other one-dimensional tensors are small.
    """
    rng = np.random.RandomState(zlib.crc32(f"{seed}:{name}".encode()) & 0xFFFFFFFF)
    values = rng.standard_normal(shape).astype(np.float32)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "running_var":
        return (1.0 + 0.1 * np.abs(values)).astype(np.float32)
    if len(shape) >= 2:
        fan_in = int(np.prod(shape[1:]))
        return (values / np.sqrt(fan_in)).astype(np.float32)
    if leaf == "weight":
        return (1.0 + 0.1 * values).astype(np.float32)
    return (0.1 * values).astype(np.float32)


def fill_state_dict(entries: Iterable[tuple[str, Iterable[int], str]], seed: int = 0) -> dict[str, np.ndarray]:
    """{name: array} for (name, shape, dtype) entries; integer tensors are zeros of that dtype."""
    filled = {}
    for name, shape, dtype in entries:
        shape = tuple(shape)
        if dtype.startswith(("float", "bfloat")):
            filled[name] = fill_tensor(name, shape, seed)
        else:
            filled[name] = np.zeros(shape, dtype=dtype)
    return filled
