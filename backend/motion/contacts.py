"""When heels and toes stand on the ground."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

# (on below, off above): m/s, and m over the lowest place nearby
_SPEED = (0.35, 0.75)
_HEIGHT = (0.06, 0.13)
# the speeds are those of who goes at 0.8 m/s or stands; faster feet are smeared more: times BASE + GAIN * pace, at most
_BASE, _GAIN, _MAX_FACTOR = 0.6, 0.5, 3.0
_STRIDE = 0.35  # s: the pace is the feet's middle's, smoothed so
_SHORTEST = 0.10  # s
_NEARBY = 0.7  # s
_GAP = 0.07  # s: shorter liftings are noise


def find_contacts(points: np.ndarray, fps: float, mode: str = "auto") -> np.ndarray:
    """points: (T, P, 3) of the soles in the world, m; heel and toe of the left, then the right foot.  -> (T, P) bool.

    mode: auto; always: at every time the lowest point stands; never.
    """
    count = len(points)
    if mode == "never" or not count:
        return np.zeros(points.shape[:2], bool)
    if mode == "always":
        return _fill_gaps(points[..., 2] < points[..., 2].min(1, keepdims=True) + 0.02, round(_GAP * fps))
    if count < 2:
        return points[..., 2] < points[..., 2].min() + _HEIGHT[0]
    speed = np.linalg.norm(np.gradient(points, axis=0), axis=-1) * fps
    # the floor may be a little wrong where a person is: what counts is the lowest place of either foot nearby
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
    """(T,) m/s over ground."""
    middle = gaussian_filter1d(points[..., :2].mean(1), _STRIDE * fps, axis=0, mode="nearest")
    return np.linalg.norm(np.gradient(middle, axis=0), axis=-1) * fps


def intervals(flags: np.ndarray) -> list[tuple[int, int]]:
    """(first, end) of every run of True."""
    edges = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    return list(zip(np.nonzero(edges == 1)[0].tolist(), np.nonzero(edges == -1)[0].tolist(), strict=True))


def _fill_gaps(contacts: np.ndarray, longest: int) -> np.ndarray:
    filled = contacts.copy()
    for p in range(contacts.shape[1]):
        for first, end in intervals(~contacts[:, p]):
            if first > 0 and end < len(contacts) and end - first <= longest:
                filled[first:end, p] = True
    return filled
