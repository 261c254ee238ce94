"""Contacts: in which frames heels and toes stand on the ground."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

# Set on the rendered clips of docs/results.md (walk, run, dance, ... at 30 fps), none held out.  Elsewhere they do
# worse: on unseen clips recall was 0.63, jumps and 60 fps are missed, steps at 12 fps are held.
_SPEED = (0.35, 0.75)  # m/s; hysteresis: a contact is below the second throughout and below the first at least once
_HEIGHT = (0.06, 0.13)  # m above the lowest foot nearby; the same
# Smoothing smears fast feet more, so the speeds grow with the pace: times BASE + GAIN * pace in m/s, between 1 and MAX
_BASE, _GAIN, _MAX_FACTOR = 0.6, 0.5, 3.0
_STRIDE = 0.35  # s, sigma of the filter on the feet's mean position that gives the pace
# Unchanged since the first version, origin not recorded
_SHORTEST = 0.10  # s, shorter contacts are dropped
_NEARBY = 0.7  # s to each side in which the lowest foot is searched
_GAP = 0.07  # s, shorter interruptions of a contact are filled
_ALWAYS_HEIGHT = 0.02  # m above the lowest point, with `always`


def find_contacts(points: np.ndarray, fps: float, mode: str = "auto") -> np.ndarray:
    """(T, P) bool contacts of points of the soles.

    points: (T, P, 3) m in the world; heel and toe of the left, then of the right foot.  mode: `auto`; `always`: the
    lowest point of each frame is in contact; `never`.
    """
    count = len(points)
    if mode == "never" or not count:
        return np.zeros(points.shape[:2], bool)
    if mode == "always":
        return _fill_gaps(points[..., 2] < points[..., 2].min(1, keepdims=True) + _ALWAYS_HEIGHT, round(_GAP * fps))
    if count < 2:
        return points[..., 2] < points[..., 2].min() + _HEIGHT[0]
    speed = np.linalg.norm(np.gradient(points, axis=0), axis=-1) * fps
    # the estimated ground may be off where the person is, so heights are above the lowest foot nearby in time
    low = minimum_filter1d(points[..., 2].min(1), max(2 * round(_NEARBY * fps) + 1, 3))
    height = points[..., 2] - low[:, None]
    faster = np.clip(_BASE + _GAIN * _pace(points, fps), 1.0, _MAX_FACTOR)[:, None]
    strong = (speed < _SPEED[0] * faster) & (height < _HEIGHT[0])
    weak = (speed < _SPEED[1] * faster) & (height < _HEIGHT[1])
    contacts = np.zeros_like(strong)
    for p in range(points.shape[1]):
        for first, end in intervals(weak[:, p]):
            if strong[first:end, p].any():
                contacts[first:end, p] = True
    contacts = _fill_gaps(contacts, round(_GAP * fps))
    for p in range(points.shape[1]):
        for first, end in intervals(contacts[:, p]):
            if end - first < max(2, round(_SHORTEST * fps)):
                contacts[first:end, p] = False
    return contacts


def _pace(points: np.ndarray, fps: float) -> np.ndarray:
    """(T,) speed of the person over the ground, m/s."""
    middle = gaussian_filter1d(points[..., :2].mean(1), _STRIDE * fps, axis=0, mode="nearest")
    return np.linalg.norm(np.gradient(middle, axis=0), axis=-1) * fps


def intervals(flags: np.ndarray) -> list[tuple[int, int]]:
    """(first, end) of each run of True, end exclusive."""
    edges = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    return list(zip(np.nonzero(edges == 1)[0].tolist(), np.nonzero(edges == -1)[0].tolist(), strict=True))


def _fill_gaps(contacts: np.ndarray, longest: int) -> np.ndarray:
    filled = contacts.copy()
    for p in range(contacts.shape[1]):
        for first, end in intervals(~contacts[:, p]):
            if first > 0 and end < len(contacts) and end - first <= longest:
                filled[first:end, p] = True
    return filled
