"""Scale of a matchmove scene: the one with which standing feet are on its ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# On clip *dolly* of docs/results.md a metric scene was estimated as 1.05: raised from 0.05
ONE = 0.06  # a scale within this of 1 is taken for 1
# Unchanged since the first version, origin not recorded; the first two are those of `ground`
_ABOVE = 0.05  # m above the ground at which the robust weight is 1/4: the foot is in the air
_BESIDE = 0.04  # m above the lowest foot of its frame at which a foot's weight is 1/e
_START_QUANTILE = 0.6  # of the feet's ratios: above the median, because feet in the air only lower them
_ROUNDS = 15
_MIN_HEIGHT = 0.05  # m of the camera above the lowest foot
_RANGE = (1e-4, 1e4)  # scene units per metre; others are not estimates


@dataclass(frozen=True)
class FootHeights:
    """Heights of one person's feet and of the camera in T frames."""

    below: np.ndarray  # (T, P) m of the camera above the soles of the fitted bodies
    camera: np.ndarray  # (T,) scene units of the camera above the ground


def estimate_scale(people: Sequence[FootHeights]) -> float | None:
    """Scene units per metre; None without usable feet.

    A standing sole is as far below the camera as the ground is: below = camera / scale, linear in 1 / scale.
    Reweighted least squares: feet above the ground count little.
    """
    below = np.concatenate([one.below for one in people]) if people else np.zeros((0, 1))
    camera = np.concatenate([one.camera for one in people]) if people else np.zeros(0)
    lowest = below.max(1) if len(below) else np.zeros(0)
    good = (camera > 0) & (lowest > _MIN_HEIGHT)
    if not good.any():
        return None
    below, camera, lowest = below[good], camera[good], lowest[good]
    per_unit = float(np.quantile(lowest / camera, _START_QUANTILE))
    standing = np.exp(-(lowest[:, None] - below) / _BESIDE)
    for _ in range(_ROUNDS):
        above = camera[:, None] * per_unit - below  # m, of the soles above the ground
        trust = 1 / (1 + np.where(above > 0, above / _ABOVE, above / (2 * _ABOVE)) ** 2) ** 2
        weight = standing * trust
        per_unit = float((weight * camera[:, None] * below).sum() / (weight * camera[:, None] ** 2).sum())
    scale = 1 / per_unit if per_unit > 0 else np.inf
    return scale if _RANGE[0] < scale < _RANGE[1] else None
