"""Detector noise for training Pose2Mesh on ground truth 2D poses, by joint set.

Human3.6M's joints: normal errors with mean and standard deviation per joint (Chang, Moon, Lee, "AbsPoseLifter", 2019).
COCO's: jitter, misses and left/right inversions with their frequency and size (Moon, Chang, Lee, "PoseFix", CVPR 2019,
after Ronchi and Perona, ICCV 2017).  The order of random draws is the original's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.preprocessing.augmentation import RandomGenerator

# Human3.6M's 17 joints: mean x y, standard deviation x y, share of poses with the error; px of a 256 px crop
_HUMAN36_ERRORS = np.array([
    [-0.06, -2.37, 1.33, 2.13, 1.00], [-0.83, -2.07, 3.41, 2.69, 1.00], [-0.04, -1.01, 1.74, 2.20, 0.95],
    [0.52, -3.40, 1.39, 2.14, 0.93], [0.78, -2.79, 3.26, 2.28, 1.00], [0.42, -0.15, 1.53, 1.99, 0.94],
    [-0.15, -3.78, 1.39, 2.39, 0.93], [-0.05, 0.10, 1.36, 1.74, 0.99], [0.14, -2.56, 1.18, 1.15, 0.99],
    [0.13, -0.26, 0.78, 0.59, 0.98], [0.09, 0.49, 1.35, 0.87, 0.99], [-0.19, 0.31, 2.51, 1.48, 0.99],
    [0.11, -0.60, 1.79, 1.76, 0.95], [-0.02, 0.88, 2.02, 2.10, 0.91], [0.52, -0.12, 2.23, 1.73, 0.99],
    [0.06, -0.44, 1.93, 1.63, 0.95], [0.05, 0.16, 2.02, 2.24, 0.90],
])  # fmt: skip

# COCO's 17 joints: sigmas of its keypoint similarity (OKS), left/right counterparts, and, from PoseFix, how often each
# joint fails: a level 0..2 per kind of error
_SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
_PARTNER = (None, *(k + 1 if k % 2 else k - 1 for k in range(1, 17)))
_JITTER = np.array([0] + [1] * 10 + [2] * 2 + [0] * 4)
_MISS = np.array([0] * 5 + [1] * 2 + [2] * 8 + [1] * 2)
_INVERSION = np.array([0] * 5 + [1] * 6 + [2] * 6)
_KINDS = 5  # jitter, miss, inversion, swap with another person (never), good


def human36_errors(rng: RandomGenerator) -> np.ndarray:
    """Errors (17, 2) px of a 256 px crop, to add to Human3.6M's joints."""
    errors = np.array([[rng.normal(mx, sx), rng.normal(my, sy)] for mx, my, sx, sy, _ in _HUMAN36_ERRORS])
    occurs = _HUMAN36_ERRORS[:, 4] > rng.uniform(size=len(errors))
    return errors * occurs[:, None]


def coco_errors(
    joints: np.ndarray, area: float, rng: RandomGenerator, pick: Callable[[int], int] | None = None
) -> np.ndarray:
    """COCO's joints (17, 3), px and visibility, with detector errors.

    area: px^2, of the person's box.  pick: n -> an index below n, the original's second random generator.
    """
    choose = pick or (lambda n: int(rng.integers(n)))  # type: ignore[union-attr]
    out = np.array(joints, np.float64)
    visible = out[:, 2] > 0
    probabilities = _error_probabilities(int(visible.sum()))
    # distances at which the keypoint similarity is 0.1, 0.5, 0.85
    far, middle, near = (np.sqrt(-2 * area * (2 * _SIGMAS) ** 2 * np.log(k)) for k in (0.10, 0.50, 0.85))
    for j in np.flatnonzero(visible):
        own = out[j, :2].copy()
        partner = _PARTNER[j]
        # a partner earlier in the order already has its error
        others = [out[partner, :2].copy()] if partner is not None and visible[partner] else []
        candidates: list[np.ndarray | None] = [None] * _KINDS

        def keep(points: np.ndarray, kind: int, candidates: list[np.ndarray | None] = candidates) -> None:
            if len(points):
                candidates[kind] = points[choose(len(points))]

        keep(_nearest_to_own(*_ring(rng, own, 500, near[j], middle[j]), others), 0)
        missed = []
        for k, centre in enumerate([own, *others]):
            points, _ = _ring(rng, centre, 2000, middle[j], far[j])
            for other in (c for c in [own, *others] if c is not centre):
                points = points[_distance(points, other) > middle[j]]
            if k:  # a quarter, drawn with replacement
                points = points[rng.choice(len(points), len(points) // 4)] if len(points) else points
            missed.append(points)
        keep(np.concatenate(missed), 1)
        for centre in others:
            points, radius = _ring(rng, centre, 500, 0, middle[j])
            keep(points[_distance(points, own) > radius], 2)
        keep(_nearest_to_own(*_ring(rng, own, 125, 0, near[j]), others), 4)

        possible = np.where([point is not None for point in candidates], probabilities[j], 0)
        if possible.sum() == 0:
            out[j, :2] = 0
            continue
        out[j, :2] = candidates[rng.choice(_KINDS, p=possible / possible.sum())]
    return out


def _error_probabilities(visible: int) -> np.ndarray:
    """Probabilities (17, 5) of the kinds of error, for a pose with `visible` visible joints."""
    jitter, miss = (0.10, 0.15, 0.20), (0.02, 0.05, 0.10)
    if visible <= 10:
        jitter, miss = (0.15, 0.20, 0.25), (0.10, 0.13, 0.15) if visible > 5 else (0.15, 0.20, 0.25)
    inversion = np.array([0.01, 0.03, 0.06])[_INVERSION]
    known = np.stack([np.array(jitter)[_JITTER], np.array(miss)[_MISS], inversion, np.zeros(17)], 1)
    return np.concatenate([known, 1 - known.sum(1, keepdims=True)], 1)


def _ring(
    rng: RandomGenerator, centre: np.ndarray, count: int, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Random points (count, 2) around a centre and their distances (count,) from it, between low and high."""
    angle, radius = rng.uniform(0, 2 * np.pi, count), rng.uniform(low, high, count)
    return centre + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), radius


def _nearest_to_own(points: np.ndarray, radius: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """The points that are nearer to their own centre (at distance radius) than to all others."""
    for other in others:
        nearest = _distance(points, other) > radius
        points, radius = points[nearest], radius[nearest]
    return points


def _distance(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(points - centre).sum(1))
