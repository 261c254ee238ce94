"""What ties the frames of a motion together: small accelerations, unless the pictures insist on large ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.body.kinematics import State
from backend.geometry import rotations_numpy as rot

# Accelerations that people have anyway, and those from which on motion is taken for meant: rad/s^2, m/s^2
_ROTATION, _FAST_ROTATION = 7.0, 40.0
_TRANSLATION, _FAST_TRANSLATION = 1.0, 6.0
_NOISE = 0.3  # of the residuals that stand against them, see `keypoint_fit.problem`
_RANGE = 30.0  # the slider's ends are so many times weaker and stronger than its middle


@dataclass(frozen=True)
class Smoothness:
    """rotation, translation: acceleration weights per frame^2.  fast_rotation, fast_translation: where halved."""

    rotation: float
    translation: float
    fast_rotation: float
    fast_translation: float

    @property
    def without_fast_motion(self) -> Smoothness:
        """The same where no motion is taken for meant: to begin with, when noise looks like fast motion."""
        return Smoothness(self.rotation, self.translation, np.inf, np.inf)

    @classmethod
    def of(cls, smoothing: float, fps: float) -> Smoothness:
        """smoothing: the slider, 0..1; 0 leaves the frames alone.  fps: of the recovered frames."""
        strength = 0.0 if smoothing <= 0 else _RANGE ** (2 * smoothing - 1)
        square = fps * fps
        return cls(
            strength * _NOISE * square / _ROTATION,
            strength * _NOISE * square / _TRANSLATION,
            _FAST_ROTATION / square,
            _FAST_TRANSLATION / square,
        )


def accelerations(state: State, joints: np.ndarray) -> np.ndarray:
    """(T - 2, 3 A + 3): of the turns of A joints in their own axes, rad per frame^2, and of the place, m per frame^2.

    A small turn d of frame t, R <- R exp(d), changes the acceleration about it by -2 d, those beside it by d, as long
    as the turn from frame to frame is small.
    """
    rotations = state.rotations[:, joints]
    inner = np.swapaxes(rotations[1:-1], -1, -2)
    angular = rot.log(inner @ rotations[2:]) + rot.log(inner @ rotations[:-2])
    linear = state.trans[2:] - 2 * state.trans[1:-1] + state.trans[:-2]
    return np.concatenate([angular.reshape(len(angular), -1), linear], 1)


def smoothness_weights(found: np.ndarray, smooth: Smoothness) -> np.ndarray:
    """(T - 2, 3 J + 3) squared weights for accelerations `found`: joint by joint less where motion is fast.

    The weight of Geman and McClure for the whole joint: 1/4 at the fast limit, so that a punch stays one.  Meant motion
    lasts some frames: the median over neighbours is what counts, and a spike of noise loosens nothing.
    """
    joints = (found.shape[1] - 3) // 3
    angular = _median_of_three(np.linalg.norm(found[:, :-3].reshape(-1, joints, 3), axis=-1))
    rotation = (smooth.rotation / (1 + (angular / smooth.fast_rotation) ** 2)) ** 2
    linear = _median_of_three(np.linalg.norm(found[:, -3:], axis=-1)[:, None])
    translation = (smooth.translation / (1 + (linear / smooth.fast_translation) ** 2)) ** 2
    return np.concatenate([np.repeat(rotation, 3, 1), np.repeat(translation, 3, 1)], 1)


def _median_of_three(size: np.ndarray) -> np.ndarray:
    """(T, n): median over three frames."""
    if len(size) < 3:
        return size
    padded = np.pad(size, ((1, 1), (0, 0)), mode="edge")
    return np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
