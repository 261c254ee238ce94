"""`python -m training.synthetic.detected OUT.npz --count 1500 --seed 501`: MediaPipe on rendered people.

Its errors on images of known bodies are real, those of `DetectorNoise` are modelled.  The file holds keypoints and
ground truth, no images.  Poses, appearance and cameras are those of the synthetic data set, with the deep poses.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.body.joint_sets import BLAZEPOSE33, HIPS, SMPL24, mirror_indices
from backend.body.model import BodyModel
from backend.geometry.rotations_numpy import exp, minimal_rotations
from training.synthetic.skeleton import Skeleton, blazepose_points

SIZE = 320  # px
_SHARD = 32
_WRONG_PERSON_ERROR = 0.06  # median 2D error over the person's height; above it, the detection is of a wrong person
_MIRRORED, _SMPL_MIRRORED = mirror_indices(BLAZEPOSE33), mirror_indices(SMPL24)


@dataclass(frozen=True)
class DetectedKeypoints:
    """n detections.  Points: float32, m, axes of the ray to the person; gt relative to hips (landmarks) or pelvis."""

    keypoints: np.ndarray  # (n, 33, 3) px and visibility
    world: np.ndarray  # (n, 33, 3)
    landmarks: np.ndarray  # (n, 33, 3)
    joints: np.ndarray  # (n, 24, 3)
    camera: np.ndarray  # (n, 4) fx fy cx cy px
    archetype: np.ndarray  # (n,) str
    pose: np.ndarray  # (n, 24, 3) axis-angle, camera frame; betas (n, 10), trans (n, 3)
    betas: np.ndarray
    trans: np.ndarray

    def __len__(self) -> int:
        return len(self.keypoints)

    def sample(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """keypoints, world, landmarks, joints of `count` random rows, some mirrored, all rolled and jittered."""
        rows = rng.integers(len(self), size=count)
        keypoints = self.keypoints[rows].copy()
        points3d = [a[rows].copy() for a in (self.world, self.landmarks, self.joints)]
        flip = rng.random(count) < 0.5
        keypoints[flip] = keypoints[flip][:, _MIRRORED] * np.array([-1, 1, 1], np.float32)
        for values, order in zip(points3d, (_MIRRORED, _MIRRORED, _SMPL_MIRRORED), strict=True):
            values[flip] = values[flip][:, order] * np.array([-1, 1, 1], np.float32)
        c, s = (f(rng.normal(0, 0.12, count)).astype(np.float32) for f in (np.cos, np.sin))
        o, i = np.zeros_like(c), np.ones_like(c)
        view_rotation = np.stack([np.stack(r, -1) for r in ((c, s, o), (-s, c, o), (o, o, i))], -2)  # of row vectors
        keypoints[..., :2] = keypoints[..., :2] @ view_rotation[:, :2, :2]
        keypoints[..., :2] += rng.normal(0, 0.004, keypoints[..., :2].shape) * SIZE
        points3d[0] += rng.normal(0, 0.015, points3d[0].shape).astype(np.float32)
        world, landmarks, joints = (points @ view_rotation for points in points3d)
        return keypoints, world, landmarks, joints


def load_detected(paths: Sequence[Path], body: BodyModel) -> DetectedKeypoints:
    """The detections in files of this command, without those of a wrong person."""
    files = [dict(np.load(path)) for path in paths]
    data = {key: np.concatenate([file[key] for file in files]) for key in files[0]}
    skeleton = Skeleton(body)
    rotations = np.moveaxis(exp(data["pose"].astype(float)), 0, -1).astype(np.float32)
    rest = skeleton.rest(data["betas"])
    global_rotations, joints = skeleton.forward(np.ascontiguousarray(rotations), rest)
    # the landmarks of the fit and the sampler: rigid to the joints
    landmarks = skeleton.points(blazepose_points(body, skeleton), data["betas"], rest, global_rotations, joints)
    # the body rotates about its root joint, which `forward` leaves at its rest position
    seen, bones = (np.moveaxis(p + data["trans"].T, -1, 0).astype(float) for p in (landmarks, joints))
    camera = data["camera"]
    uv = seen[..., :2] / seen[..., 2:] * camera[:, None, :2] + camera[:, None, 2:]
    error = np.linalg.norm(data["k2"][..., :2] - uv, axis=-1) / np.ptp(uv, axis=1).max(1)[:, None]
    matched = np.median(error, 1) < _WRONG_PERSON_ERROR
    hips = seen[:, HIPS].mean(1)
    view_rotation = minimal_rotations(np.array([0.0, 0.0, 1.0]), hips / np.linalg.norm(hips, axis=1, keepdims=True))
    gt_points = ((seen - hips[:, None]) @ view_rotation, (bones - bones[:, :1]) @ view_rotation)
    values = (data["k2"], data["k3"], *gt_points, camera)
    first, last = (
        [v[matched].astype(np.float32) for v in some] for some in (values, (data["pose"], data["betas"], data["trans"]))
    )
    archetype = np.asarray(data["name"][matched])
    return DetectedKeypoints(first[0], first[1], first[2], first[3], first[4], archetype, *last)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training.synthetic.detected", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=1500, help="images; in some, no person is detected")
    parser.add_argument("--seed", type=int, default=501)
    options = parser.parse_args()

    import cv2
    import torch

    from backend.people.detect.mediapipe_detector import MediaPipeDetector
    from training.synthetic.deep_poses import deep_poses
    from training.synthetic.pose_library import all_archetypes
    from training.synthetic.poses import PoseSampler
    from training.synthetic.studio import Studio

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    studio = Studio(SIZE)
    studio.sampler = PoseSampler(studio.body, all_archetypes() + deep_poses(), even=True, tolerance=0.02)
    detector = MediaPipeDetector()
    names = ("pose", "betas", "trans", "camera")
    rows: list[dict] = []
    for shard in range(-(-options.count // _SHARD)):
        for sample in studio.shard(options.seed, 0, shard, _SHARD):
            image = cv2.imdecode(np.frombuffer(sample.jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].copy()
            for person in detector.detect(image, 1):
                found = {"k2": person.keypoints2d, "k3": person.keypoints3d, "name": str(sample.arrays["archetype"])}
                rows.append({name: sample.arrays[name] for name in names} | found)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        np.savez(options.out, **{key: np.stack([row[key] for row in rows]) for key in rows[0]})
        print(f"{(shard + 1) * _SHARD} images, {len(rows)} people", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
