"""The preparer of FastMETRO, SMPLer and DeFormer, as METRO's loader."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.spatial.transform import Rotation

from backend.body.joint_sets import SMPL24, mirror_indices
from backend.errors import BadInput
from training.datasets.joint_sets import JOINT_SETS, convert_joints
from training.datasets.record import Record
from training.losses.body_targets import GENDERS
from training.preprocessing.augmentation import AugmentationParams, MetroAugmentation, RandomGenerator
from training.preprocessing.crops import CropWindow

MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # ImageNet's
STD = np.array([0.229, 0.224, 0.225], np.float32)
_POSE_MIRROR = mirror_indices(SMPL24)


@dataclass
class MetroPreparer:
    """METRO's preparer.  `prepare(record, rng)` -> arrays by name; rng None: no augmentation.

    - image (3, *size) float32: RGB, ImageNet-normalised
    - joints2d (K, 3) float32: x y in the crop, whose longer side spans [-1, 1], and visibility
    - joints3d (K, 4) float32: m, relative to the pelvis (hand: wrist), and confidence
    - pose (72,) or (48,) float32 rad, betas (10,) float32
    - has_2d, has_3d, has_mesh: float32 0 or 1; missing labels are zeros
    - gender: int64, an index into `training.losses.body_targets.GENDERS`
    - index: int64, the number in the record's key, -1 where it has none (it orders FreiHAND's submission)

    K: METRO's 24 joints, or FreiHAND's 21 for hands.  Joints of other sets are mapped by name; those that a set lacks
    have confidence 0.
    upstream_quirks: 2D labels are whole pixels, one pixel off (see `CropWindow.transform`).  train False: as rng None.
    Raises BadInput: `bad_label`, and what the image source raises.
    """

    size: tuple[int, int] = (224, 224)
    part: Literal["body", "hand"] = "body"
    flip: float = 0.5
    gain: float = 0.4
    rotation: float = 30.0
    rotation_off: float = 0.6
    scale: float = 0.25
    upstream_quirks: bool = True
    train: bool = True
    augmentation: MetroAugmentation = field(init=False)

    def __post_init__(self) -> None:
        self.size = (int(self.size[0]), int(self.size[1]))
        self.augmentation = MetroAugmentation(self.flip, self.gain, self.rotation, self.rotation_off, self.scale)

    def __call__(self, record: Record, rng: RandomGenerator | None = None) -> dict[str, np.ndarray]:
        params = AugmentationParams() if rng is None or not self.train else self.augmentation.draw(rng)
        return self.apply(record, params)

    def apply(self, record: Record, params: AugmentationParams) -> dict[str, np.ndarray]:
        """The arrays of a record with the given augmentation."""
        if record.image is None or record.center is None or not record.side > 0:
            raise BadInput(
                "bad_label",
                f"{record.key} has no image or no box; the network needs both.",
                "Take a data set with images for this run.",
            )
        hand = self.part == "hand" or record.joint_set in ("hand21", "mano21")
        joint_set = JOINT_SETS["hand21" if hand else "metro24"]
        window = CropWindow(
            np.asarray(record.center, np.float64), record.side * params.scale, self.size, params.rotation
        )
        out: dict[str, Any] = {  # arrays and numpy scalars
            "image": normalise_image(apply_colour_gains(window.crop(record.image.read()), params)),
            "betas": np.zeros(10, np.float32),
            "pose": np.zeros(48 if hand else 72, np.float32),
            "joints2d": np.zeros((len(joint_set), 3), np.float32),
            "joints3d": np.zeros((len(joint_set), 4), np.float32),
            "gender": np.int64(GENDERS.index(record.gender) if record.gender in GENDERS else 0),
            "index": np.int64(index_from_key(record.key)),
        }
        mirror = joint_set.mirror
        if record.joints2d is not None:
            joints = convert_joints(record.joints2d, record.joint_set, joint_set.name)
            out["joints2d"] = self.joints2d(joints, window, params, mirror)
        if record.joints3d is not None:
            joints = convert_joints(record.joints3d, record.joint_set, joint_set.name)
            out["joints3d"] = joints3d(joints, params, mirror, joint_set.root)
        out["has_mesh"] = np.float32(record.pose is not None and record.betas is not None)
        if record.pose is not None and record.betas is not None:
            out["pose"] = rotated_pose(record.pose, params)
            betas = np.asarray(record.betas, np.float32)[:10]
            out["betas"][: len(betas)] = betas
        out["has_2d"] = np.float32(record.joints2d is not None)
        out["has_3d"] = np.float32(record.joints3d is not None)
        return out

    def joints2d(
        self, joints: np.ndarray, window: CropWindow, params: AugmentationParams, mirror: np.ndarray
    ) -> np.ndarray:
        """Joints (K, 3), px and visibility, in the crop's units, mirrored where `params.flip`."""
        transformed = window.transform(joints[:, :2], truncate=self.upstream_quirks)
        out = np.concatenate([transformed, joints[:, 2:]], 1)
        if params.flip:
            out = out[mirror] * [-1, 1, 1]
        if not self.upstream_quirks:
            out[out[:, 2] == 0, :2] = 0  # invisible joints have no position
        return out.astype(np.float32)


def apply_colour_gains(crop: np.ndarray, params: AugmentationParams) -> np.ndarray:
    """Crop (H, W, 3) 0..255 -> (3, H, W) float32 0..1, mirrored where `params.flip`, with the channels' gains."""
    if params.flip:
        crop = crop[:, ::-1]
    return (np.clip(crop * params.gains, 0, 255).transpose(2, 0, 1) / 255).astype(np.float32)


def normalise_image(image: np.ndarray) -> np.ndarray:
    """Image (3, H, W) 0..1, normalised by ImageNet's mean and standard deviation."""
    return np.ascontiguousarray((image - MEAN[:, None, None]) / STD[:, None, None])


def joints3d(joints: np.ndarray, params: AugmentationParams, mirror: np.ndarray, root: int) -> np.ndarray:
    """Joints (K, 4), m and confidence, root-relative, rotated in the image plane, mirrored where `params.flip`."""
    out = np.array(joints, np.float64)
    out[:, :3] -= out[root, :3]
    out[:, :3] = out[:, :3] @ in_plane_rotation(params).T
    if params.flip:
        out = out[mirror] * [-1, 1, 1, 1]
    return out.astype(np.float32)


def rotated_pose(pose: np.ndarray, params: AugmentationParams) -> np.ndarray:
    """Pose (P,) axis-angle with the root rotated in the image plane, mirrored where `params.flip`.

    Raises BadInput `bad_run` for the flip of a hand.
    """
    vectors = np.array(pose, np.float64).reshape(-1, 3)
    if params.rotation:
        root = in_plane_rotation(params) @ Rotation.from_rotvec(vectors[0]).as_matrix()
        vectors[0] = Rotation.from_matrix(root).as_rotvec()
    if params.flip:
        if len(vectors) != len(_POSE_MIRROR):
            raise BadInput("bad_run", "A hand cannot be flipped: its mirror image is the other one.", "Set flip: 0.")
        vectors = vectors[_POSE_MIRROR] * [1, -1, -1]
    return vectors.ravel().astype(np.float32)


def in_plane_rotation(params: AugmentationParams) -> np.ndarray:
    """Rotation matrix (3, 3) of the content about the viewing axis, in the camera frame (y down)."""
    return Rotation.from_euler("z", -params.rotation, degrees=True).as_matrix()


def index_from_key(key: str) -> int:
    """The last number in a key without its file extension; -1 where it has none."""
    digits = "".join(c if c.isdigit() else " " for c in key.rsplit(".", 1)[0]).split()
    return int(digits[-1]) if digits else -1
