"""Confidence of each joint, from the visibility and the reprojection error of the landmarks that determine it."""

from __future__ import annotations

import numpy as np

from backend.body.keypoint_fit.problem import Problem
from backend.body.kinematics import Skeleton
from backend.body.landmarks import INDEX

_TOLERANCE = 0.04  # of the body's height: confidence 1/e at this reprojection error; origin not recorded
_HIPS = ("left_hip", "right_hip")
_SHOULDERS = ("left_shoulder", "right_shoulder")
# the landmarks that determine a joint, where it has none of its own name
_EVIDENCE: dict[str, tuple[str, ...]] = {
    "pelvis": _HIPS,
    "spine1": _HIPS + _SHOULDERS,
    "spine2": _HIPS + _SHOULDERS,
    "spine3": _HIPS + _SHOULDERS,
    "neck": _SHOULDERS,
    "head": ("nose", "left_ear", "right_ear"),
    "left_collar": ("left_shoulder",),
    "right_collar": ("right_shoulder",),
    "left_foot": ("left_toe", "left_heel"),
    "right_foot": ("right_toe", "right_heel"),
}


def joint_confidence(skeleton: Skeleton, problem: Problem, relative_error: np.ndarray) -> np.ndarray:
    """(B, J) 0..1, 0 for joints without visible landmarks.  relative_error: (B, K) reprojection error / body height."""
    support = problem.observed.seen * np.exp(-((relative_error / _TOLERANCE) ** 2))
    evidence = ([INDEX[one] for one in _EVIDENCE.get(name, (name,))] for name in skeleton.names)
    return np.stack([support[:, landmarks].mean(1) for landmarks in evidence], 1)
