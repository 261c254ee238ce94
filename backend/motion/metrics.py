"""Metrics of motion.  Joints (T, J, 3) in metres; errors in millimetres."""

from __future__ import annotations

import numpy as np


def jitter(joints: np.ndarray, fps: float) -> float:
    """Mean norm of the third finite difference over time, m/s^3; 0 for fewer than four frames."""
    if len(joints) < 4:
        return 0.0
    third = np.diff(joints, n=3, axis=0) * fps**3
    return float(np.linalg.norm(third, axis=-1).mean())


def acceleration_peak_ratio(pred: np.ndarray, gt: np.ndarray, share: float = 0.02) -> float:
    """Mean acceleration of `pred` over that of `gt`, where gt's is highest (top `share` of joints and frames)."""
    if len(gt) < 3:
        return 1.0
    a, b = (np.linalg.norm(np.diff(x, n=2, axis=0), axis=-1) for x in (pred, gt))
    # a peak may come a frame early or late
    padded = np.pad(a, ((1, 1), (0, 0)), mode="edge")
    a = np.maximum(np.maximum(padded[:-2], padded[2:]), a)
    peaks = b >= np.quantile(b, 1 - share)
    return float(a[peaks].mean() / b[peaks].mean())


def mpjpe(pred: np.ndarray, gt: np.ndarray, root: int = 0) -> float:
    """Mean per-joint position error, root-relative, mm."""
    gap = (pred - pred[:, root : root + 1]) - (gt - gt[:, root : root + 1])
    return float(np.linalg.norm(gap, axis=-1).mean() * 1000)


def foot_slide(feet: np.ndarray, contacts: np.ndarray) -> float:
    """Mean motion per frame of the slowest point of feet in contact, mm.  feet: (T, 2, P, 3).  contacts: (T, 2)."""
    moved = np.linalg.norm(np.diff(feet, axis=0), axis=-1).min(-1)
    both = contacts[1:] & contacts[:-1]
    return float(moved[both].mean() * 1000) if both.any() else 0.0


def penetration(points: np.ndarray) -> float:
    """Mean over frames of the deepest point's depth below the ground z = 0, mm.  points: (T, N, 3), world."""
    return float(np.maximum(-points[..., 2].min(1), 0).mean() * 1000) if len(points) else 0.0
