"""Smoothness terms of a motion: weighted accelerations, with smaller weights where motion is fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.body.kinematics import State
from backend.geometry import rotations_numpy as rot

# Accelerations of usual motion, rad/s^2 and m/s^2.  Set for little jitter with peaks kept on motions with known truth
# (docs/results.md, tests/backend/motion), none held out: 9, 5, then 7; 1.5, then 1
_ROTATION, _TRANSLATION = 7.0, 1.0
# Unchanged since the first version, origin not recorded
_FAST_ROTATION, _FAST_TRANSLATION = 40.0, 6.0  # accelerations at which a weight is 1/2 (1/4 when squared)
_NOISE = 0.3  # size of the residuals of `keypoint_fit.problem` that the smoothness is weighed against
_RANGE = 30.0  # factor of the weights between the middle and the ends of the slider


@dataclass(frozen=True)
class Smoothness:
    """Weights of accelerations (rotation in rad, translation in m per frame^2), and accelerations that halve them."""

    rotation: float
    translation: float
    fast_rotation: float
    fast_translation: float

    @property
    def without_fast_motion(self) -> Smoothness:
        """The same with constant weights: for the first iterations, in which noise looks like fast motion."""
        return Smoothness(self.rotation, self.translation, np.inf, np.inf)

    @classmethod
    def of(cls, smoothing: float, fps: float) -> Smoothness:
        """Weights for the slider's value 0..1; 0: no smoothing.  fps: of the recovered frames."""
        strength = 0.0 if smoothing <= 0 else _RANGE ** (2 * smoothing - 1)
        square = fps * fps
        return cls(
            strength * _NOISE * square / _ROTATION,
            strength * _NOISE * square / _TRANSLATION,
            _FAST_ROTATION / square,
            _FAST_TRANSLATION / square,
        )


def accelerations(state: State, joints: np.ndarray) -> np.ndarray:
    """(T - 2, 3 A + 3) accelerations: of the rotations of A joints in their own axes, rad, and of trans, m per frame^2.

    A small rotation d of frame t, R <- R exp(d), changes the acceleration at t by -2 d and those at t - 1 and t + 1 by
    d, as long as the rotations from frame to frame are small.
    """
    rotations = state.rotations[:, joints]
    inner = np.swapaxes(rotations[1:-1], -1, -2)
    angular = rot.log(inner @ rotations[2:]) + rot.log(inner @ rotations[:-2])
    linear = state.trans[2:] - 2 * state.trans[1:-1] + state.trans[:-2]
    return np.concatenate([angular.reshape(len(angular), -1), linear], 1)


def smoothness_weights(found: np.ndarray, smooth: Smoothness) -> np.ndarray:
    """(T - 2, 3 J + 3) squared weights for accelerations `found`, smaller for joints in fast motion.

    Geman-McClure weight per joint: 1/4 at the fast limit, so that a punch is not smoothed away.  Real motion lasts some
    frames: the median over three frames counts, so that a spike of noise keeps its weight.
    """
    joints = (found.shape[1] - 3) // 3
    angular = _median_of_three(np.linalg.norm(found[:, :-3].reshape(-1, joints, 3), axis=-1))
    rotation = (smooth.rotation / (1 + (angular / smooth.fast_rotation) ** 2)) ** 2
    linear = _median_of_three(np.linalg.norm(found[:, -3:], axis=-1)[:, None])
    translation = (smooth.translation / (1 + (linear / smooth.fast_translation) ** 2)) ** 2
    return np.concatenate([np.repeat(rotation, 3, 1), np.repeat(translation, 3, 1)], 1)


def _median_of_three(size: np.ndarray) -> np.ndarray:
    """(T, n) median over three frames."""
    if len(size) < 3:
        return size
    padded = np.pad(size, ((1, 1), (0, 0)), mode="edge")
    return np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
