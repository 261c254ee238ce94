"""Occlusion gaps: rows without a detection.  Short gaps are interpolated, in long ones the person is hidden."""

from __future__ import annotations

import numpy as np

from backend.body.kinematics import State
from backend.geometry import rotations_numpy as rot
from backend.motion.contacts import intervals

LONGEST = 1.0  # s, origin not recorded; a longer interpolation would be invention


def hidden_rows(seen: np.ndarray, fps: float) -> np.ndarray:
    """(T,) bool: rows in gaps longer than LONGEST.  seen: (T,) bool.  fps: of the rows."""
    hidden = np.zeros(len(seen), bool)
    for first, end in intervals(~seen):
        hidden[first:end] = end - first > LONGEST * fps
    return hidden


def interpolate_state(known: State, rows: np.ndarray, count: int) -> State:
    """State of rows 0 <= t < count, interpolated between those of `rows` (ascending) and constant outside."""
    wanted = np.arange(count)
    after = np.clip(np.searchsorted(rows, wanted), 0, len(rows) - 1)
    before = np.where(rows[after] == wanted, after, np.maximum(after - 1, 0))
    before = np.where(rows[after] < wanted, after, before)
    span = np.maximum(rows[after] - rows[before], 1)
    part = np.where(after == before, 0.0, (wanted - rows[before]) / span)
    a, b = known.rotations[before], known.rotations[after]
    rotation_vector = rot.log(np.swapaxes(a, -1, -2) @ b) * part[:, None, None]
    trans = known.trans[before] + (known.trans[after] - known.trans[before]) * part[:, None]
    return State(a @ rot.exp(rotation_vector), known.betas[before].copy(), trans)
