"""The pose prior: rest angles, stiffness and limits of each joint.

Angles are components of the joint's axis-angle in the body frame (x left, y up, z forward), rad: a knee bends by +x, a
hip flexes by -x, a left elbow bends by -y and a right one by +y, a left arm drops by -z.  The values are ours, from
anatomy, not fitted to data.  Right joints mirror the left ones (y and z change sign).
"""

from __future__ import annotations

from functools import cache

import numpy as np

_FREE = 10.0  # rad, no limit

# joint: rest angles, stiffness (per rad), lower and upper limits, each for x, y, z
_JOINTS: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], tuple[float, ...]]] = {
    "left_hip": ((-0.05, 0.0, 0.0), (0.08, 0.25, 0.2), (-2.3, -0.9, -0.6), (0.6, 0.9, 1.3)),
    "left_knee": ((0.1, 0.0, 0.0), (0.05, 1.0, 1.5), (0.0, -0.4, -0.2), (2.6, 0.4, 0.2)),
    "left_ankle": ((0.0, 0.0, 0.0), (0.6, 0.8, 0.8), (-0.6, -0.5, -0.5), (0.9, 0.5, 0.5)),
    "left_foot": ((0.0, 0.0, 0.0), (3.0, 3.0, 3.0), (-0.5, -0.2, -0.2), (0.5, 0.2, 0.2)),
    "spine1": ((0.0, 0.0, 0.0), (0.9, 0.9, 0.9), (-0.35, -0.5, -0.4), (0.7, 0.5, 0.4)),
    "spine2": ((0.0, 0.0, 0.0), (0.9, 0.9, 0.9), (-0.3, -0.5, -0.4), (0.6, 0.5, 0.4)),
    "spine3": ((0.0, 0.0, 0.0), (0.9, 0.9, 0.9), (-0.3, -0.5, -0.4), (0.6, 0.5, 0.4)),
    "neck": ((0.0, 0.0, 0.0), (0.7, 0.7, 0.7), (-0.6, -0.8, -0.6), (0.7, 0.8, 0.6)),
    "head": ((0.0, 0.0, 0.0), (0.7, 0.7, 0.7), (-0.5, -0.8, -0.5), (0.5, 0.8, 0.5)),
    "left_collar": ((0.0, 0.0, 0.0), (1.5, 1.2, 1.2), (-0.3, -0.4, -0.3), (0.3, 0.4, 0.6)),
    "left_shoulder": ((0.0, 0.0, -1.15), (0.3, 0.1, 0.08), (-2.4, -2.6, -2.0), (2.4, 1.6, 2.0)),
    "left_elbow": ((0.0, -0.25, 0.0), (0.3, 0.05, 0.6), (-1.5, -2.6, -0.5), (1.5, 0.0, 0.5)),
    "left_wrist": ((0.0, 0.0, 0.0), (0.8, 0.8, 0.8), (-0.6, -0.6, -1.2), (0.6, 0.6, 1.2)),
    "left_hand": ((0.0, 0.0, 0.0), (3.0, 3.0, 3.0), (-0.3, -0.3, -0.3), (0.3, 0.3, 0.3)),
}
# Origin of these: not recorded
UNSEEN_STIFFNESS = 2.5  # per rad: minimum of a joint without visible landmarks, which is at rest
UNSEEN_HIP_STIFFNESS = 0.5  # lower for hips, so that invisible legs point down under a bent trunk
LIMIT_STIFFNESS = 8.0  # per rad beyond the limit


@cache
def joint_priors(names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """-> rest angles, stiffness, lower and upper limits, each (J, 3), read-only.  The root has no prior."""
    rest, stiffness = np.zeros((len(names), 3)), np.zeros((len(names), 3))
    low, high = np.full((len(names), 3), -_FREE), np.full((len(names), 3), _FREE)
    mirror = np.array([1.0, -1.0, -1.0])
    for j, name in enumerate(names):
        right = name.startswith("right_")
        entry = _JOINTS.get(name.replace("right_", "left_"))
        if entry is None:
            continue
        rest[j], stiffness[j], low[j], high[j] = entry
        if right:
            rest[j] = rest[j] * mirror
            limits = low[j] * mirror, high[j] * mirror
            low[j], high[j] = np.minimum(*limits), np.maximum(*limits)
    for array in (rest, stiffness, low, high):
        array.flags.writeable = False
    return rest, stiffness, low, high


def unseen_stiffness(names: tuple[str, ...], stiffness: np.ndarray) -> np.ndarray:
    """(J, 3) stiffness, per rad, of joints without visible landmarks."""
    minimum = [UNSEEN_HIP_STIFFNESS if name.endswith("_hip") else UNSEEN_STIFFNESS for name in names]
    return np.maximum(stiffness, np.array(minimum)[:, None])
