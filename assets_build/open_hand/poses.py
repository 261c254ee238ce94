"""Hinge axes, joint limits and poses of the flat right hand, as MANO's axis-angle poses."""

from __future__ import annotations

import numpy as np

from backend.body.joint_sets import MANO16, MANO16_PARENTS

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
# direction in which a bone's tip moves in flexion; the thumb's is opposite to its nail
BENDS_TO = {"thumb": (0.0, -0.07, -1.0)}
PALM = (0.0, -1.0, 0.0)

# low and high of flexion, abduction and twist, rad
_LIMITS = {
    "thumb1": ((-0.4, 0.8), (-0.5, 0.5), (-0.2, 0.2)),
    "thumb2": ((-0.2, 1.0), (-0.15, 0.15), (-0.1, 0.1)),
    "thumb3": ((-0.3, 1.4), (0.0, 0.0), (0.0, 0.0)),
    "1": ((-0.4, 1.6), (-0.3, 0.3), (-0.1, 0.1)),
    "2": ((-0.05, 1.8), (0.0, 0.0), (-0.05, 0.05)),
    "3": ((-0.1, 1.3), (0.0, 0.0), (0.0, 0.0)),
}

# flexion of each finger's three joints, and abduction of the first: positive to the thumb's side (the thumb: to the
# palm), rad
NAMED: dict[str, dict[str, tuple[float, float, float, float]]] = {
    "flat": {},
    "relaxed": {
        "thumb": (0.1, 0.15, 0.2, 0.0), "index": (0.25, 0.4, 0.25, -0.06), "middle": (0.35, 0.5, 0.3, 0.0),
        "ring": (0.42, 0.55, 0.3, 0.06), "pinky": (0.5, 0.5, 0.3, 0.14),
    },
    "spread": {
        "thumb": (-0.35, -0.1, -0.1, -0.3), "index": (-0.1, 0.0, 0.0, 0.14), "ring": (-0.1, 0.0, 0.0, -0.12),
        "pinky": (-0.1, 0.0, 0.0, -0.2),
    },
    "fist": {
        "thumb": (0.35, 0.6, 0.9, 0.1), "index": (1.4, 1.65, 0.75, -0.12), "middle": (1.45, 1.65, 0.75, 0.0),
        "ring": (1.45, 1.65, 0.75, 0.12), "pinky": (1.45, 1.6, 0.75, 0.24),
    },
    "point": {
        "thumb": (0.3, 0.6, 0.8, 0.1), "middle": (1.4, 1.7, 1.0, 0.0), "ring": (1.45, 1.7, 1.0, 0.1),
        "pinky": (1.45, 1.65, 1.0, 0.2),
    },
    "pinch": {
        "thumb": (0.3, 0.2, 0.45, 0.1), "index": (0.85, 0.85, 0.35, 0.0), "middle": (0.45, 0.4, 0.2, 0.0),
        "ring": (0.3, 0.35, 0.2, 0.0), "pinky": (0.2, 0.3, 0.2, 0.0),
    },
}  # fmt: skip


def hinges(joints: np.ndarray) -> np.ndarray:
    """(16, 3, 3) rows: axes of flexion, abduction (to the thumb's side) and twist, from rest joints (16, 3)."""
    axes = np.tile(np.eye(3), (16, 1, 1))
    for j in range(1, 16):
        last = j % 3 == 0
        along = joints[j] - joints[MANO16_PARENTS[j]] if last else joints[j + 1] - joints[j]
        along = along / np.linalg.norm(along)
        bend = np.cross(along, BENDS_TO.get(MANO16[j][:-1], PALM))
        bend /= np.linalg.norm(bend)
        axes[j] = bend, np.cross(along, bend), along
    return axes


def named_pose(name: str, joints: np.ndarray) -> np.ndarray:
    """(16, 3) axis-angle of one of NAMED; the wrist's is 0."""
    axes, pose = hinges(joints), np.zeros((16, 3))
    for finger, (first, second, third, spread) in NAMED[name].items():
        j = MANO16.index(f"{finger}1")
        pose[j] = first * axes[j, 0] + spread * axes[j, 1]
        pose[j + 1], pose[j + 2] = second * axes[j + 1, 0], third * axes[j + 2, 0]
    return pose


def random_poses(count: int, joints: np.ndarray, seed: int) -> np.ndarray:
    """(count, 16, 3) axis-angle within the limits; the wrist's is 0, each other joint's in a quarter of the poses."""
    rng = np.random.default_rng(seed)
    limits = np.zeros((16, 3, 2))
    for j, name in enumerate(MANO16[1:], 1):
        limits[j] = _LIMITS.get(name) or _LIMITS[name[-1]]
    angles = rng.uniform(limits[..., 0], limits[..., 1], (count, 16, 3)) * (rng.random((count, 16, 1)) > 0.25)
    return np.einsum("njk,jkc->njc", angles, hinges(joints))
