"""Provisional bodies of a clip with a known moving camera, in the common frame."""

from __future__ import annotations

import numpy as np

from backend.body.camera_frames import to_common_frame
from backend.body.kinematics import Skeleton, State
from backend.body.model import BodyModel
from backend.clips.clip_motions import with_track_intrinsics
from backend.geometry import rotations_numpy as rot
from backend.motion.camera_track import CameraTrack
from backend.motion.foot_lock import sole_heights
from backend.motion.matchmove import Matchmove
from backend.structures import Camera, World


class CommonFramePreview:
    """Transforms bodies from camera frames to the common frame; the first bodies give a provisional scene scale."""

    def __init__(self, body: BodyModel, reading_camera: Camera, camera_track: CameraTrack, scene_scale: float) -> None:
        """reading_camera: with which the bodies were recovered.  scene_scale: units per metre, 0: to be estimated."""
        self._skeleton = Skeleton(body)
        self._soles = sole_heights(self._skeleton, float(body.v_template[:, 1].min()))
        self._reading_camera, self._camera_track, self._scene_scale = reading_camera, camera_track, scene_scale
        self.world: World | None = None

    def transform(
        self, frames: np.ndarray, poses: np.ndarray, betas: np.ndarray, trans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, World]:
        """poses (N, J, 3) rad and trans (N, 3) m in the common frame, and its world.

        frames: (N,).  poses, betas (N, B), trans: recovered with `reading_camera`.
        """
        if not len(frames):
            return poses, trans, self.world or World(scale=self._scene_scale or 1.0)
        state = State(rot.exp(poses), betas, trans)
        state = with_track_intrinsics(self._skeleton, state, self._reading_camera, self._camera_track, frames)
        if self.world is None:
            matchmove = Matchmove(self._camera_track, self._scene_scale)
            matchmove.initialize_scale(self._skeleton, self._soles, [frames], [state])
            self.world = World(scale=matchmove.scale)
        state = to_common_frame(self._camera_track.view(frames, self.world.scale), self._skeleton, state)
        return rot.log(state.rotations), state.trans, self.world
