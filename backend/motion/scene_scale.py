"""How many units of a matchmove scene are a metre: the feet that stand must stand on its ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ONE = 0.06  # a scene this near to metric is metric: bodies are not known better
_ABOVE = 0.05  # m above the ground from which on a foot counts little: it does not stand
_SIDEWAYS = 0.04  # m: of the feet of one frame those hardly above the lowest count
_MIDDLE = 0.6  # quantile to begin with: feet in the air say too little, none says too much
_ROUNDS = 15
_LOWEST = 0.05  # m that a camera is above the ground, at least, if it is to tell anything
_RANGE = (1e-4, 1e4)  # units per metre


@dataclass(frozen=True)
class FootHeights:
    """Of one person, T frames."""

    below: np.ndarray  # (T, P) m that the soles are below the camera, by the bodies as they were fitted
    camera: np.ndarray  # (T,) scene units that the camera is above the ground


def estimate_scale(people: Sequence[FootHeights]) -> float | None:
    """Units per metre; None where nothing can be said.

    A standing sole is as far below the camera as the ground is: below = camera / scale, linear in 1 / scale.  Robust:
    feet above the ground are in the air, and count little.
    """
    below = np.concatenate([one.below for one in people]) if people else np.zeros((0, 1))
    camera = np.concatenate([one.camera for one in people]) if people else np.zeros(0)
    lowest = below.max(1) if len(below) else np.zeros(0)
    good = (camera > 0) & (lowest > _LOWEST)
    if not good.any():
        return None
    below, camera, lowest = below[good], camera[good], lowest[good]
    per_unit = float(np.quantile(lowest / camera, _MIDDLE))
    standing = np.exp(-(lowest[:, None] - below) / _SIDEWAYS)
    for _ in range(_ROUNDS):
        above = camera[:, None] * per_unit - below  # m, of the soles above the ground
        # as in `ground`: far above is in the air, far below is a mistake that is rarer
        trust = 1 / (1 + np.where(above > 0, above / _ABOVE, above / (2 * _ABOVE)) ** 2) ** 2
        weight = standing * trust
        per_unit = float((weight * camera[:, None] * below).sum() / (weight * camera[:, None] ** 2).sum())
    scale = 1 / per_unit if per_unit > 0 else np.inf
    return scale if _RANGE[0] < scale < _RANGE[1] else None
