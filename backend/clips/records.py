"""What a clip is made of: tracks of detected people, their motions, and the world that they move in."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Track:
    """One person through a clip: T rows, one for every recovered frame from the first to the last that shows them.

    Where the person was not found `seen` is False and the row's numbers are 0.
    """

    id: int
    frames: np.ndarray  # (T,) int64, ascending: numbers of the clip's frames, 0 is the first
    seen: np.ndarray  # (T,) bool
    boxes: np.ndarray  # (T, 4) float32 x0 y0 x1 y1 px of the upright frame
    scores: np.ndarray  # (T,) float32 0..1
    keypoints2d: np.ndarray  # (T, 33, 3) float32 x px, y px, visibility 0..1 (MediaPipe's landmarks)
    keypoints3d: np.ndarray  # (T, 33, 3) float32 m, origin between the hips, camera axes

    def __len__(self) -> int:
        return len(self.frames)


@dataclass
class Motion:
    """One body through a clip, T rows.  Frame: the camera's (OpenCV: x right, y down, z forward); metres, radians.

    The body stands where `lbs(poses, betas) + trans` puts it, as in `backend.results.RecoveredPerson`.
    """

    id: int
    frames: np.ndarray  # (T,) int64, ascending
    poses: np.ndarray  # (T, J, 3) axis-angle, parent-relative; the root's turns into the camera frame
    betas: np.ndarray  # (B,) constant
    trans: np.ndarray  # (T, 3)
    joints: np.ndarray  # (T, J, 3)
    confidence: np.ndarray  # (T, J) 0..1; 0 where filled
    filled: np.ndarray  # (T,) bool: nobody was seen, the pose is made up from before and after
    contacts: np.ndarray  # (T, 2) bool: left, right foot stands on the ground
    reprojection_px: np.ndarray  # (T,) mean distance of visible keypoints to the body's, 0 where filled
    keypoints2d: np.ndarray  # (T, K, 3) as detected


@dataclass(frozen=True)
class World:
    """The ground at z = 0, z up, metres: x_world = rotation @ x_camera + translation.

    The camera stands above the world's origin and looks along +y (its heading); pitch and roll are the footage's.
    """

    rotation: np.ndarray = field(default_factory=lambda: np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]))
    translation: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def points(self, camera_points: np.ndarray) -> np.ndarray:
        """(..., 3) camera frame -> world."""
        return camera_points @ self.rotation.T + self.translation
