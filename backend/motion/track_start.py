"""Initial state of a track's fit."""

from __future__ import annotations

import numpy as np

from backend.body.camera_frames import to_common_frame
from backend.body.keypoint_fit.fit import initial_state
from backend.body.keypoint_fit.observations import observe
from backend.body.kinematics import Skeleton, State
from backend.geometry import rotations_numpy as rot
from backend.geometry.camera_path import View
from backend.motion.occlusion_gaps import interpolate_state
from backend.structures import Camera, Track

# Set on simulated left/right swaps (tests/backend/motion/test_pipeline.py)
_NEARBY = 5  # rows to each side that a row is compared with
_FLIP_ANGLE = 1.5  # rad between global orientations


def start_state(
    skeleton: Skeleton, track: Track, camera: Camera, per_frame: State | None = None, view: View | None = None
) -> State:
    """State of every row, interpolated between detected rows that are not flipped by a left/right swap.

    per_frame: bodies of the detected rows, in order, each in its camera frame; None: computed from the keypoints.
    view: camera path of every row; with it the result is in the common frame.
    """
    seen = np.nonzero(track.seen)[0]
    if per_frame is None:
        seen_view = None if view is None else view[seen]
        observed = observe(track.keypoints2d[seen], track.keypoints3d[seen], camera, view=seen_view)
        per_frame = initial_state(skeleton, track.keypoints3d[seen], observed)
    elif view is not None:
        per_frame = to_common_frame(view[seen], skeleton, per_frame)
    sure = ~flipped_frames(per_frame)
    if sure.any():
        seen, per_frame = seen[sure], per_frame[sure]
    return interpolate_state(per_frame, seen, len(track))


def flipped_frames(per_frame: State) -> np.ndarray:
    """(T,) bool: the global orientation is more than _FLIP_ANGLE from most of those nearby."""
    rotations = per_frame.rotations[:, 0]
    count = len(rotations)
    angles = []
    for shift in range(-_NEARBY, _NEARBY + 1):
        if shift == 0:
            continue
        other = rotations[np.clip(np.arange(count) + shift, 0, count - 1)]
        angles.append(np.linalg.norm(rot.log(np.swapaxes(rotations, -1, -2) @ other), axis=-1))
    return np.median(angles, axis=0) > _FLIP_ANGLE
