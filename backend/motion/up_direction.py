"""Up direction from people who stand and walk: the camera's pitch and roll before the ground is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.body.joint_sets import HIPS
from backend.body.keypoint_fit.observations import observe, ray_rotations, unit
from backend.body.landmarks import FEET, INDEX, SOURCES, TRUNK
from backend.structures import Camera, Track

# Set on the rendered clips of docs/results.md (pitch 6 and 16 degrees), none held out; on unseen clips the tilt was
# 6.7 degrees on average and 21 at a pitch of 35, and a wider prior on pitch helped little.
# Standard deviations as slopes.  People lean forward more than sideways, and MediaPipe's depth, which gives the forward
# lean of people who face the camera, is its worst coordinate.
_CAMERA = np.tan(np.deg2rad([3.0, 10.0]))  # a camera's roll and pitch about level
_SIDEWAYS = np.tan(np.deg2rad(3.0))  # a person's trunk about upright
_FORWARD = np.tan(np.deg2rad(8.0))
_ENOUGH_ROWS = 30.0  # good rows with which a person has weight 1; more add nothing, their errors are correlated
_STRAIGHT = (0.6, 0.85)  # cosines between thigh and shin, trunk and thigh: weight 0 below, 1 above; stricter at first
_MIN_UPRIGHT = 0.7  # cosine between the body's axis and the image's vertical


@dataclass(frozen=True)
class GroundSlopes:
    """Slopes a, b of the ground y = a x + b z + c, camera frame: mean (2,), information (2, 2) = inverse covariance."""

    mean: np.ndarray
    information: np.ndarray

    @property
    def up(self) -> np.ndarray:
        """(3,) unit, camera frame."""
        up = np.array([self.mean[0], -1.0, self.mean[1]])
        return up / np.linalg.norm(up)


def estimate_ground_slopes(tracks: Sequence[Track], camera: Camera) -> GroundSlopes:
    """Gaussian estimate from the 3D keypoints of people who stand or walk; prior: cameras are near level."""
    information = np.diag(1 / _CAMERA**2)
    information_vector = np.zeros(2)
    for track in tracks:
        axis, across, weight = _axes(track, camera)
        if not weight.sum():
            continue
        weight = weight / max(weight.sum(), _ENOUGH_ROWS)
        slopes = axis[:, [0, 2]] / -axis[:, 1:2]
        sideways = across[:, [0, 2]] / np.maximum(np.linalg.norm(across[:, [0, 2]], axis=1, keepdims=True), 1e-6)
        forward = sideways[:, ::-1] * [-1.0, 1.0]
        for direction, spread in ((sideways, _SIDEWAYS), (forward, _FORWARD)):
            each = direction[:, :, None] * direction[:, None] * (weight / spread**2)[:, None, None]
            information = information + each.sum(0)
            information_vector = information_vector + (each @ slopes[..., None])[..., 0].sum(0)
    return GroundSlopes(np.linalg.solve(information, information_vector), information)


def _axes(track: Track, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of N detected rows: (N, 3) unit from feet to trunk, (N, 3) across the hips, camera frame; (N,) weight 0..1.

    Feet swing: the axis is right on average over steps.
    """
    rows = track.seen
    points = track.keypoints2d[rows]
    seen = observe(points, track.keypoints3d[rows], camera).seen
    points3d = np.stack([track.keypoints3d[rows][:, source].mean(1) for source in SOURCES], 1).astype(float)
    points3d = points3d @ np.swapaxes(ray_rotations(points[:, HIPS, :2].mean(1), camera), -1, -2)
    axis = unit(points3d[:, TRUNK].mean(1) - points3d[:, FEET].mean(1))
    across = points3d[:, INDEX["left_hip"]] - points3d[:, INDEX["right_hip"]]
    weight = np.ones(len(points3d))
    straight = []
    for side in ("left", "right"):
        shoulder, hip, knee, ankle = (points3d[:, INDEX[f"{side}_{n}"]] for n in ("shoulder", "hip", "knee", "ankle"))
        thigh = unit(hip - knee)
        straight.append(np.minimum((thigh * unit(knee - ankle)).sum(1), (thigh * unit(shoulder - hip)).sum(1)))
        weight = weight * (seen[:, INDEX[f"{side}_hip"]] > 0.5) * (seen[:, INDEX[f"{side}_ankle"]] > 0.3)
    low, high = _STRAIGHT
    weight = weight * np.clip((np.max(straight, axis=0) - low) / (high - low), 0, 1)  # one straight leg is enough
    return axis, across, weight * (axis[:, 1] < -_MIN_UPRIGHT)
