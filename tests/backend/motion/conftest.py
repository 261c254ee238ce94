"""The open body, and motions with known truth."""

import numpy as np
import pytest

from backend.body.kinematics import Skeleton, State
from backend.clips.preview import KeypointPreview
from backend.geometry import rotations_numpy as rot
from backend.motion.foot_lock import POINTS
from benchmarks.clips.motions import MOTIONS, MotionMaker
from benchmarks.clips.simulated_detections import observed_track


class Case:
    """A scene's first person: true motion, simulated detections, per-frame bodies."""

    def __init__(self, body, name, seconds, noise=1.0, seed=0, **more):
        self.body, self.skeleton = body, Skeleton(body)
        self.scene = MOTIONS[name](MotionMaker(body), (960, 540), seconds=seconds)
        self.gt = self.scene.people[0]
        rng = np.random.default_rng(seed)
        noises = {"pixel": 0.003 * noise, "metres": 0.01 * noise, "depth": 0.02 * noise}
        more = {"view": self.scene.view, **more}
        self.track = observed_track(body, self.gt, self.scene.camera, rng, **noises, **more)

    def per_frame(self):
        """The preview's bodies of the detected rows."""
        preview, at = KeypointPreview(self.body, self.scene.camera), np.nonzero(self.track.seen)[0]
        parts, before = [], {}
        for k in range(0, len(at), 16):
            rows = {name: getattr(self.track, name)[at[k : k + 16]] for name in ("keypoints2d", "keypoints3d")}
            rows["person"] = np.ones(len(rows["keypoints2d"]), int)
            before = {**rows, **preview.bodies(rows, [], before)}
            parts.append(before)
        poses, betas, trans = (np.concatenate([p[n] for p in parts]) for n in ("poses", "betas", "trans"))
        return State(rot.exp(poses), betas, trans)

    def feet(self, motion):
        """(T, 2, 2, 3) heel and toe of each foot, camera frame."""
        count = len(motion.poses)
        state = State(rot.exp(motion.poses), np.tile(motion.betas, (count, 1)), motion.trans)
        return self.skeleton.forward(state)[2][:, list(POINTS)].reshape(count, 2, 2, 3)


@pytest.fixture(scope="session")
def case(body):
    made = {}

    def make(name, seconds=2.0, **more):
        key = (name, seconds, *sorted(more.items()))
        if key not in made:
            made[key] = Case(body, name, seconds, **more)
        return made[key]

    return make
