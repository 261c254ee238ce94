"""The preparer of Pose2Mesh, as its loaders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from backend.body.model import BodyModel
from backend.errors import BadInput
from backend.models.pose2mesh.joint_sets import POSE_SETS, normalise_pose, with_pelvis_and_neck
from training.datasets.geometry import project, project_weak
from training.datasets.posed_joints import PosedJoints, posed_joints
from training.datasets.record import Record
from training.losses.body_targets import GENDERS
from training.preprocessing.augmentation import RandomGenerator
from training.preprocessing.keypoint_noise import coco_errors, human36_errors
from training.preprocessing.metro_style import index_from_key
from training.preprocessing.pose_window import SIZE, PoseWindow, mirrored2d, pose_box, rotated3d, window_box

Target = Literal["human36", "smpl", "mano"]  # joint sets that are regressed from the mesh
# Pose2Mesh's names of joint sets -> ours
_SETS = {"human36": "h36m17", "coco": "coco19", "smpl": "smpl24", "mano": "hand21"}
# largest fit error of samples that are trained on, mm; COCO: px of a 64 px crop.  From Pose2Mesh_RELEASE
FIT_LIMITS = {"human36m": 25.0, "coco": 3.0, "muco": 45.0}


@dataclass(frozen=True)
class PoseAugmentationParams:
    flip: bool = False
    rotation: float = 0.0  # degrees


@dataclass
class Pose2MeshPreparer:
    """Pose2Mesh's preparer.  `prepare(record, rng)` -> arrays by name; rng None: no noise, no augmentation.

    - pose2d (J, 2) float32: normalised 2D pose of the joints of `pose_set`
    - lifted (J, 3) float32 mm, relative to the set's root; lift_valid (J,) float32 0 or 1
    - joints (K, 3) float32 mm of `target`, relative to its root, where joints_given is 1; else
      `training.losses.body_targets.Pose2MeshTargets` regresses them from the ground truth mesh
    - joints_valid (K,), joints_given, mesh_valid: float32 0 or 1
    - pose (72,) or (48,) rad, betas (10,), trans (3,) m: float32, of the ground truth mesh with the target's root at 0
    - gender: int64, an index into `GENDERS`; index: int64, the number in the record's key, -1 where it has none

    pose_set, target: names of joint sets.  stage: of the network's training.
    input: `truth`: ground truth 2D poses.  `detected`: for training ground truth with `noise` (`human36`, `coco`), or
    with noise `none` the benchmark's detections; for evaluation always the detections.  Where ground truth is not
    public, `truth` takes the detections, too.
    flip: probability.  rotation: standard deviation in degrees, clipped at twice that; 0 with probability 0.5.  Both
    change pose2d and lifted alone, for the first stage.
    body: the run's, a name or a model of that name.  bodies: gender -> body's name, for samples with a known gender.
    upstream_quirks: all fits of MuCo are invalid in the full stage and valid in the first, and its noise comes after
    the flip.  Raises BadInput: `flat_pose`, `no_detection`, `bad_label`, `bad_run`.
    """

    pose_set: Literal["human36", "coco", "smpl", "mano"]
    target: Target
    body: BodyModel | str
    stage: Literal["posenet", "full"] = "full"
    input: Literal["truth", "detected"] = "detected"
    noise: Literal["none", "human36", "coco"] = "none"
    flip: float = 0.0
    rotation: float = 0.0
    upstream_quirks: bool = True
    train: bool = True
    bodies: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.noise not in ("none", self.pose_set):
            raise BadInput(
                "bad_run",
                f"The noise of {self.noise} joints does not go with the pose set {self.pose_set}.",
                f"Set noise to {self.pose_set} or none.",
            )
        if isinstance(self.body, BodyModel):
            self.body = self.body.name  # a name is cheap to pickle for workers
        posed_joints(self.body)  # fails now for an unknown body; read before workers are forked

    def __call__(self, record: Record, rng: RandomGenerator | None = None) -> dict[str, np.ndarray]:
        if rng is None or not self.train:
            return self.apply(record, PoseAugmentationParams(), None)
        return self.apply(record, self.draw(rng), rng)

    def draw(self, rng: RandomGenerator) -> PoseAugmentationParams:
        rotation = float(np.clip(rng.standard_normal() * self.rotation, -2 * self.rotation, 2 * self.rotation))
        flip = self.flip > 0 and bool(rng.uniform() <= self.flip)
        return PoseAugmentationParams(flip, 0.0 if rng.uniform() <= 0.5 else rotation)

    def apply(
        self, record: Record, params: PoseAugmentationParams, rng: RandomGenerator | None
    ) -> dict[str, np.ndarray]:
        out = self.labels(record, params)
        detected = self.input == "detected" and (not self.train or self.noise == "none")
        if not self.train and record.pose is None and record.joints2d is None:
            detected = True  # FreiHAND's evaluation images have no public ground truth
        pose2d = self.detection(record) if detected else self.gt_pose2d(record)
        noisy = rng if self.noise != "none" and self.input == "detected" and not detected else None
        try:
            out["pose2d"] = normalise_pose(self.transform_pose2d(pose2d, params, record, noisy))
        except BadInput as error:
            raise BadInput(error.code, f"{record.key}: {error.message}", error.hint) from None
        return out

    def transform_pose2d(
        self, pose2d: np.ndarray, params: PoseAugmentationParams, record: Record, rng: RandomGenerator | None
    ) -> np.ndarray:
        """2D pose (J, 2), px of the image -> px of the window, with noise from `rng`, rotated and mirrored."""
        tight = pose_box(pose2d)
        window = PoseWindow(window_box(tight), params.rotation)
        points = window.transform(pose2d)
        pairs = POSE_SETS[self.pose_set].mirrored
        noise_after_flip = self.upstream_quirks and record.dataset == "muco"
        if rng is not None and not noise_after_flip:
            points = self.add_noise(points, window.area(tight), rng)
        if params.flip:
            points = mirrored2d(points, pairs)
        if rng is not None and noise_after_flip:
            points = self.add_noise(points, window.area(window.box), rng)
        return points

    def add_noise(self, points: np.ndarray, area: float, rng: RandomGenerator) -> np.ndarray:
        if self.noise == "human36":
            return (points + human36_errors(rng) / 256 * SIZE).astype(np.float32)
        coco_joints = np.concatenate([points[:17], np.ones((17, 1))], 1)
        out = points.copy()
        out[:17] = coco_errors(coco_joints, area, rng)[:, :2]  # pelvis and neck get no noise
        return out

    def labels(self, record: Record, params: PoseAugmentationParams) -> dict[str, np.ndarray]:
        count, targets = len(POSE_SETS[self.pose_set].joints), len(POSE_SETS[self.target].joints)
        size = 48 if self.target == "mano" else 72
        out: dict[str, Any] = {  # arrays and numpy scalars
            "lifted": np.zeros((count, 3), np.float32),
            "lift_valid": np.zeros(count, np.float32),
            "joints": np.zeros((targets, 3), np.float32),
            "joints_valid": np.zeros(targets, np.float32),
            "joints_given": np.float32(0),
            "mesh_valid": np.float32(0),
            "pose": np.zeros(size, np.float32),
            "betas": np.zeros(10, np.float32),
            "trans": np.zeros(3, np.float32),
            "gender": np.int64(GENDERS.index(record.gender) if record.gender in GENDERS else 0),
            "index": np.int64(index_from_key(record.key)),
        }
        if record.pose is None or record.betas is None:
            return out
        if np.size(record.pose) != size:
            raise BadInput(
                "bad_run",
                f"{record.key} has a pose of {np.size(record.pose)} numbers, the target {self.target} needs {size}.",
                "Bodies have 72, hands 48.",
            )
        body = self.posed(record)
        out["pose"] = np.float32(record.pose)
        betas = np.asarray(record.betas, np.float32)[:10]
        out["betas"][: len(betas)] = betas
        mesh_ok, lift_ok, joints_ok = self.validity(record)
        out["mesh_valid"] = np.float32(mesh_ok)
        out["lift_valid"][:], out["joints_valid"][:] = lift_ok, joints_ok

        # motion capture joints where the benchmark has this joint set, else those of the mesh
        lifted = self.mocap_joints(record, self.pose_set)
        if lifted is None:
            lifted = body.joints(_SETS[self.pose_set], record.pose, record.betas, record.trans)
        root = POSE_SETS[self.pose_set].root
        pairs = POSE_SETS[self.pose_set].mirrored
        out["lifted"] = rotated3d(1000 * (lifted - lifted[root]), params.rotation, params.flip, pairs)
        mocap_joints = self.mocap_joints(record, self.target)
        origin = POSE_SETS[self.target].root
        if mocap_joints is not None and record.trans is not None:
            out["trans"] = (record.trans - mocap_joints[origin]).astype(np.float32)
            out["joints"] = (1000 * (mocap_joints - mocap_joints[origin])).astype(np.float32)
            out["joints_given"] = np.float32(1)
        else:
            joints = body.joints(_SETS[self.target], record.pose, record.betas)
            out["trans"] = (-joints[origin]).astype(np.float32)
        return out

    def validity(self, record: Record) -> tuple[bool, bool, bool]:
        """Whether mesh, lifted joints and regressed joints are trained on."""
        if self.upstream_quirks and record.dataset == "muco":
            good = self.stage == "posenet"
            return good, good, good
        error, limit = record.fit_error, FIT_LIMITS.get(record.dataset)
        if error is None or limit is None or error <= limit:
            return True, True, True
        if record.dataset == "human36m":  # its joints are motion capture, independent of the fit; COCO's are the fit's
            return False, self.pose_set == "human36", True
        return False, False, False

    def posed(self, record: Record) -> PosedJoints:
        return posed_joints(self.bodies.get(record.gender, self.body))  # type: ignore[arg-type]

    @staticmethod
    def mocap_joints(record: Record, pose_set: str) -> np.ndarray | None:
        """Motion capture joints (K, 3) m, which only Human3.6M has, for its own joint set; else None."""
        if record.joints3d is None or record.dataset != "human36m" or record.joint_set != _SETS[pose_set]:
            return None
        return np.asarray(record.joints3d, np.float64)[:, :3]

    def gt_pose2d(self, record: Record) -> np.ndarray:
        """Ground truth 2D pose (J, 2) px, float32: annotated, or projected from the mesh by the record's camera."""
        if record.joints2d is not None and record.joint_set == _SETS[self.pose_set]:
            return np.asarray(record.joints2d[:, :2], np.float32)
        if record.pose is None or record.betas is None:
            raise self._missing_label(record, "no 2D ground truth of these joints and no mesh to project")
        body = self.posed(record)
        if record.weak_camera is not None:
            joints = body.joints(_SETS[self.pose_set], record.pose, record.betas)
            return project_weak(joints, record.weak_camera).astype(np.float32)
        if record.camera is None or record.trans is None:
            raise self._missing_label(record, "no camera to project its mesh with")
        joints = body.joints(_SETS[self.pose_set], record.pose, record.betas, record.trans)
        return project(joints, record.camera).astype(np.float32)

    def detection(self, record: Record) -> np.ndarray:
        """Detected 2D pose (J, 2) px, float32, of the benchmark.  Raises BadInput `no_detection`, `bad_label`."""
        if record.detected2d is None:
            raise BadInput(
                "no_detection",
                f"{record.key} has no detected 2D pose.",
                "Give the benchmark's detection file, or take a run with ground truth 2D input.",
            )
        detected = np.asarray(record.detected2d, np.float32)
        count = len(POSE_SETS[self.pose_set].joints)
        if self.pose_set == "coco" and len(detected) == 17:
            detected = with_pelvis_and_neck(detected).astype(np.float32)
        if len(detected) != count:
            raise self._missing_label(record, f"a detection of {len(detected)} joints; {count} are needed")
        return detected[:, :2]

    def _missing_label(self, record: Record, what: str) -> BadInput:
        return BadInput(
            "bad_label",
            f"{record.key} of {record.dataset} has {what} (pose set {self.pose_set}).",
            "Take another data set or pose set for this run.",
        )
