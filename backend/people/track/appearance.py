"""Appearance embedding: colour histograms of upper and lower body, for matching people in tracking."""

from __future__ import annotations

import cv2
import numpy as np

from backend.body.joint_sets import HIPS, KNEES, SHOULDERS

# First values, with the literals of `_region`; origin not recorded
_BINS = (8, 4, 4)  # hue, saturation, value
SIZE = 2 * int(np.prod(_BINS))  # upper and lower body
_SIDE = 24  # px that a region is resampled to


def appearance(pixels: np.ndarray, keypoints2d: np.ndarray) -> np.ndarray:
    """(SIZE,) float32 embedding: square roots of the histograms' frequencies, halves of 0 where the body is unseen.

    The dot product of two is their Bhattacharyya coefficient.  pixels: uint8 RGB (H, W, 3).  keypoints2d: (33, 3), px.
    """
    shoulders, hips, knees = (keypoints2d[list(pair)] for pair in (SHOULDERS, HIPS, KNEES))
    halves = [_region(pixels, shoulders, hips), _region(pixels, hips, knees)]
    return np.concatenate([_histogram(half) for half in halves]) * np.float32(np.sqrt(0.5))


def _region(pixels: np.ndarray, above: np.ndarray, below: np.ndarray) -> np.ndarray | None:
    """(_SIDE, _SIDE, 3) image between two pairs of landmarks, narrowed; None where most of it is unseen."""
    points = np.concatenate([above, below])
    if (points[:, 2] > 0.3).sum() < 3:
        return None
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    width = max(high[0] - low[0], 0.35 * (high[1] - low[1]))  # in side views the pairs coincide
    middle = (low[0] + high[0]) / 2
    height, wide = pixels.shape[:2]
    x0, x1 = int(max(middle - 0.4 * width, 0)), int(min(middle + 0.4 * width, wide))
    y0, y1 = int(max(low[1], 0)), int(min(high[1], height))
    if x1 - x0 < 4 or y1 - y0 < 4:
        return None
    return cv2.resize(pixels[y0:y1, x0:x1], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)


def _histogram(region: np.ndarray | None) -> np.ndarray:
    if region is None:
        return np.zeros(SIZE // 2, np.float32)
    hsv = cv2.cvtColor(region, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, list(_BINS), [0, 180, 0, 256, 0, 256]).ravel()
    return np.sqrt(counts / counts.sum()).astype(np.float32)


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Bhattacharyya coefficient 0..1, mean over the halves that both have; 0.5 without any."""
    known = [(a, b) for a, b in zip(np.split(one, 2), np.split(other, 2), strict=True) if np.any(a) and np.any(b)]
    if not known:
        return 0.5
    return float(np.mean([2.0 * float(a @ b) for a, b in known]))
