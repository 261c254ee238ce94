"""Endless batches of sampled poses with simulated detections: no vertices, no images.

For 2D-to-3D lifting: MediaPipe's 33 landmarks (or Pose2Mesh's 19 of COCO) with detector noise, and ground truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from backend.body.joint_sets import ARMS, BLAZEPOSE33, COCO17, HIPS, LEGS, SHOULDERS, indices, left_right, mirror_pairs
from backend.body.loader import load_body
from backend.body.model import BodyModel
from training.synthetic.deep_poses import deep_poses
from training.synthetic.inverse_kinematics import rotation_between
from training.synthetic.pose_library import all_archetypes
from training.synthetic.poses import PoseSampler
from training.synthetic.skeleton import blazepose_points, inverse_rotation, matmul, rotate

_COCO = indices(BLAZEPOSE33, *COCO17)
_LIMBS = [list(limb) for limb in (*ARMS, *LEGS)]
_ALL = tuple(zip(*mirror_pairs(BLAZEPOSE33), strict=True))  # left, right
_FACE = range(SHOULDERS[0])


def _relative_error(k: int, name: str) -> float:
    """Relative size of a detector's error at landmark k: largest at hands and heels."""
    if k in _FACE:
        return 0.6
    if any(word in name for word in ("pinky", "index", "thumb", "heel")):
        return 2.0
    return 1.6 if "hip" in name else 1.2


_SPREAD = np.array([_relative_error(k, name) for k, name in enumerate(BLAZEPOSE33)], np.float32)


@dataclass(frozen=True)
class DetectorNoise:
    """Parameters of the simulated detector's errors.

    Set to about those of MediaPipe on rendered people (`training.synthetic.detected`).  On 137 untruncated people the
    3D landmarks' depth was 0.5 to 0.8 of the ground truth's, its sign was wrong in 7 to 21 % of the limbs that reach
    far in depth, and the person was rotated by 0.16 rad about x and 0.21 about y (robust sd).

    pixel: sd of 2D jitter over the person's height in the image.  metres: sd of the 3D landmarks (x, y); depth: of z,
    four fifths of its variance common to a limb.  far: share of 2D outliers (sd 10 % of the height).  swapped: share
    of people with a left/right swap of arms, legs or all.  missing: share of occluded landmarks (low visibility,
    three times the error), half of it in entire limbs and lower bodies.  tilt: sd in rad of a rotation of all 3D
    landmarks about the camera's x and y axes, half of it about z.  flat: largest share by which depth is compressed.
    reversed: share of limbs whose depth has the wrong sign.
    """

    pixel: float = 0.012
    metres: float = 0.03
    depth: float = 0.07
    far: float = 0.01
    swapped: float = 0.02
    missing: float = 0.06
    tilt: float = 0.15
    flat: float = 0.6
    reversed: float = 0.06

    def scaled(self, factor: float) -> DetectorNoise:
        """The same detector with jitter, depth error and tilt times `factor`."""
        names = ("pixel", "metres", "depth", "tilt")
        return replace(self, **{name: factor * getattr(self, name) for name in names})


@dataclass(frozen=True)
class KeypointBatch:
    """n detections with ground truth; camera frame, m and px.  Arrays are float32, samples first."""

    keypoints: np.ndarray  # (n, 33, 3) px and visibility, as detected, in an image of `size` px
    world: np.ndarray  # (n, 33, 3) m: the detector's 3D landmarks, relative to the hips' midpoint, axes of the ray
    landmarks: np.ndarray  # (n, 33, 3) m: the true ones, relative to the middle of the hips
    joints: np.ndarray  # (n, 24, 3) m: the true joints, relative to the pelvis joint
    rotations: np.ndarray  # (n, 24, 3, 3) parent-relative; the root's is into the camera frame
    betas: np.ndarray  # (n, B)
    trans: np.ndarray  # (n, 3) m, as `BodyModel` takes it
    camera: np.ndarray  # (n, 4) fx fy cx cy px
    view_rotation: np.ndarray  # (n, 3, 3) from the axes of the ray to the person (what a crop shows) into the camera's
    archetype: np.ndarray  # (n,) index into the sampler's archetypes

    @property
    def ray_landmarks(self) -> np.ndarray:
        """(n, 33, 3) m: ground-truth landmarks in the axes of `world`."""
        return self.landmarks @ self.view_rotation

    @property
    def ray_joints(self) -> np.ndarray:
        """(n, 24, 3) m: ground-truth joints in the axes of `world`."""
        return self.joints @ self.view_rotation

    @property
    def coco19(self) -> np.ndarray:
        """(n, 19, 3) px and visibility of Pose2Mesh's set: COCO's 17 keypoints, pelvis and neck."""
        joints = self.keypoints[:, _COCO]
        middles = [joints[:, pair].mean(1, keepdims=True) for pair in left_right(COCO17, "hip", "shoulder")]
        return np.concatenate([joints, *middles], 1)

    def vertices(self, body: BodyModel, rows: slice = slice(None)) -> np.ndarray:
        """(n, V, 3) m, camera frame; skinned on demand, 300 times slower than the rest of the batch."""
        import torch

        with torch.inference_mode():
            tensors = [
                torch.from_numpy(np.ascontiguousarray(a[rows])) for a in (self.betas, self.trans, self.rotations)
            ]
            return body(None, tensors[0], tensors[1], rotations=tensors[2]).vertices.numpy()


class KeypointSampler:
    """Draws batches of one body.  views: cameras per pose, because sampling poses takes most of the time.

    poses: the pose sampler; None: all archetypes and the deep poses, with acceptance equalised.
    """

    def __init__(
        self,
        body: BodyModel | None = None,
        *,
        views: int = 4,
        noise: DetectorNoise | None = None,
        size: int = 224,
        poses: PoseSampler | None = None,
    ) -> None:
        self.body = body or load_body("open")
        # keypoints do not show a finger's width of self-intersection
        self.poses = poses or PoseSampler(self.body, all_archetypes() + deep_poses(), even=True, tolerance=0.03)
        self.skeleton = self.poses.skeleton
        self.points = blazepose_points(self.body, self.skeleton)
        self.views, self.noise, self.size = views, noise or DetectorNoise(), size

    def batches(self, seed: int, count: int) -> Iterator[KeypointBatch]:
        """Endless batches of `count`; the same seed gives the same ones."""
        number = 0
        while True:
            yield self.batch(np.random.default_rng([seed, number]), count)
            number += 1

    def batch(self, rng: np.random.Generator, count: int) -> KeypointBatch:
        """`count` samples; with `views` > 1 a pose recurs with other cameras and betas."""
        few = -(-count // self.views)
        poses = self.poses.sample(rng, few)
        which = np.tile(np.arange(few), self.views)[:count]
        betas = np.clip(rng.standard_normal((count, self.poses.num_betas), np.float32), -2.5, 2.5)
        rotations = poses.rotations[..., which]
        yaw = rng.uniform(-np.pi, np.pi, count).astype(np.float32)
        pitch = np.clip(rng.normal(0.12, 0.2, count), -0.35, 1.0).astype(np.float32)
        roll = rng.normal(0, 0.07, count).astype(np.float32)
        rotations[0] = matmul(_camera_rotation(yaw, pitch, roll), rotations[0])
        rest = self.skeleton.rest(betas)
        global_rotations, joints = self.skeleton.forward(rotations, rest)
        landmarks = self.skeleton.points(self.points, betas, rest, global_rotations, joints)
        size = np.float32(self.size)
        focal = (size * 0.8 * (2.5 / 0.8) ** rng.random(count)).astype(np.float32)
        low, high = landmarks.min(0), landmarks.max(0)
        middle, reach = (low + high) / 2, np.sqrt(((high - low) ** 2).sum(0)) / 2
        share = rng.uniform(0.5, 1.0, count).astype(np.float32)
        depth = np.maximum(2 * focal * reach / (size * share), reach + 0.4)
        aside = rng.uniform(-0.5, 0.5, (2, count)).astype(np.float32) * (1.1 - share) * size / focal * depth
        trans = np.concatenate([aside, depth[None]]) - middle
        camera = np.stack([focal, focal, *np.full((2, count), (size - 1) / 2, np.float32)], 1)
        seen = landmarks + trans
        uv = focal * seen[:, :2] / seen[:, 2:] + (size - 1) / 2
        hips = landmarks[list(HIPS)].mean(0)
        ray = hips + trans
        view_rotation = rotation_between(np.array([[0.0], [0.0], [1.0]], np.float32) + np.zeros_like(ray), ray)
        view_rotation = view_rotation.astype(np.float32)
        keypoints, world = self._detected(rng, uv, rotate(inverse_rotation(view_rotation), landmarks - hips))
        return KeypointBatch(
            keypoints, world, _samples_first(landmarks - hips), _samples_first(joints - joints[0]),
            np.ascontiguousarray(rotations.transpose(3, 0, 1, 2)), betas, np.ascontiguousarray(trans.T), camera,
            _samples_first(view_rotation), poses.archetype[which],
        )  # fmt: skip

    def _detected(
        self, rng: np.random.Generator, uv: np.ndarray, points3d: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints and world (n, 33, 3) with detector noise, from uv (33, 2, n) px and points3d (33, 3, n) m."""
        noise, count = self.noise, uv.shape[-1]
        missing = rng.random((33, count), np.float32) < noise.missing / 2
        for limb in _LIMBS:
            missing[limb] |= rng.random(count) < noise.missing / 2
        missing[23:] |= rng.random(count) < noise.missing / 2  # lower body outside the image
        error_scale = np.where(missing, np.float32(3), np.float32(1)) * _SPREAD[:, None]
        height = np.maximum(np.ptp(uv, axis=0).max(0), 8.0)
        uv = uv + rng.standard_normal(uv.shape, np.float32) * (error_scale * noise.pixel * height)[:, None]
        far = rng.random((33, count), np.float32) < noise.far
        uv += np.where(far, 0.1 * height, np.float32(0))[:, None] * rng.standard_normal(uv.shape, np.float32)
        error = rng.standard_normal(points3d.shape, np.float32) * (error_scale * noise.metres)[:, None]
        common = np.empty((33, count), np.float32)
        for group in ([*_FACE, *SHOULDERS, *HIPS], *_LIMBS):
            common[group] = rng.standard_normal(count, np.float32)
        deep = noise.depth * (0.45 * rng.standard_normal((33, count), np.float32) + 0.9 * common)
        error[:, 2] += deep * np.where(missing, np.float32(1.7), np.float32(1))
        tilt = rng.standard_normal((3, count), np.float32) * np.float32(noise.tilt)
        points3d = rotate(_tilt(*tilt * [[1.0], [1.0], [0.5]]), points3d)
        points3d[:, 2] *= 1 - rng.uniform(0, noise.flat, count).astype(np.float32)
        for limb in _LIMBS:
            root = points3d[limb[0] - 2, 2]  # the shoulder or the hip
            wrong = rng.random(count) < noise.reversed
            points3d[limb, 2] = np.where(wrong, 2 * root - points3d[limb, 2], points3d[limb, 2])
        world = points3d + error
        visible = np.where(missing, rng.uniform(0.02, 0.5, (33, count)), rng.uniform(0.7, 1.0, (33, count)))
        for limbs in (ARMS, LEGS, _ALL):
            swapped = np.nonzero(rng.random(count) < noise.swapped / 3)[0]
            left, right = np.array(limbs[0]), np.array(limbs[1])
            for values in (uv, world, visible):
                held = values[left][..., swapped].copy()
                values[left[:, None], ..., swapped] = np.moveaxis(values[right][..., swapped], -1, 1)
                values[right[:, None], ..., swapped] = np.moveaxis(held, -1, 1)
        return _samples_first(np.concatenate([uv, visible[:, None]], 1)), _samples_first(world)


def _camera_rotation(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """(3, 3, n) body -> camera: yaw about the body's vertical, then a camera pitched down and rolled; angles in rad."""
    (a, b), (c, d), (e, f) = ((np.cos(x), np.sin(x)) for x in (yaw, pitch, roll))
    o, i = np.zeros_like(a), np.ones_like(a)
    view_rotation = np.array([[a, o, b], [o, i, o], [-b, o, a]])
    tilt = np.array([[i, o, o], [o, -c, d], [o, -d, -c]])  # with y and z negated: OpenCV's axes
    return matmul(np.array([[e, -f, o], [f, e, o], [o, o, i]]), matmul(tilt, view_rotation))


def _tilt(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(3, 3, n): Rz Ry Rx."""
    (a, b), (c, d), (e, f) = ((np.cos(v), np.sin(v)) for v in (x, y, z))
    o, i = np.zeros_like(a), np.ones_like(a)
    about_x = np.array([[i, o, o], [o, a, -b], [o, b, a]])
    about_y = np.array([[c, o, d], [o, i, o], [-d, o, c]])
    about_z = np.array([[e, -f, o], [f, e, o], [o, o, i]])
    return matmul(about_z, matmul(about_y, about_x)).astype(np.float32)


def _samples_first(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(values, -1, 0), np.float32)
