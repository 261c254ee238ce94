"""A network as a recovery model: people in a photo -> crops or poses -> vertices -> bodies in the camera frame."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from backend.body.joint_sets import HIPS
from backend.body.keypoint_fit.observations import ray_rotations
from backend.body.vertex_fit import fit_vertices
from backend.geometry.rotations import axis_angle_from_matrix
from backend.models.adapter import Adapter, Prediction
from backend.models.crops import Crop, crop_around, cut
from backend.models.inference.engine import Engine, EngineOptions
from backend.models.inference.keypoint_agreement import keypoint_agreement, matched_keypoints
from backend.models.inference.translation_solve import rotation_to_ray, solve_translation
from backend.models.pose2mesh.input_pose import pose_of
from backend.models.pose2mesh.joint_sets import POSE_SETS, normalise_pose
from backend.models.pose2mesh_small.network import INPUTS as LANDMARK_INPUTS
from backend.models.recovery_model import ModelSpec, RecoveryModel
from backend.models.weights import TEST_NOTICE, load_network
from backend.structures import Camera, DetectedPerson, RecoveredPerson

Match = tuple[np.ndarray, np.ndarray, np.ndarray]  # points of a body (K, 3) m, their pixels (K, 2), weights (K,)
_MIRROR = np.array([-1.0, 1.0, 1.0])
_MIN_KEYPOINTS = 6  # for a translation solve against detected keypoints; origin not recorded
_MIN_SCALE, _MAX_SCALE = 0.1, 10.0  # of a plausible camera: a body of 2 m is a tenth to ten times the crop
_MAX_BETA = 10  # sd: no human is beyond, and Blender's sliders end there


class NetworkModel(RecoveryModel):
    """See `RecoveryModel`.  part: `body` or `hand`; pose_set: joint set of the input poses, "" for image crops and for
    MediaPipe's 33 landmarks."""

    engine: Engine

    def __init__(
        self, spec: ModelSpec, device: str, options: EngineOptions | None = None, path: Path | None = None
    ) -> None:
        """path: of the weights; None takes the user's, else the embedded ones."""
        self.spec = spec
        self.network = load_network(spec.name, device, path)
        self.body = self.network.body
        adapter, network = self.network.adapter, self.network.spec
        self.part, self.pose_set = network.part, adapter.pose_set(network) or ""
        self.notice = TEST_NOTICE if self.network.card.testing else ""
        self._size = adapter.input_size(network)
        options = options or EngineOptions()
        run = partial(predict_tensors, adapter=adapter, body=self.body)
        self.engine = Engine(self.network.module, run, options, self._example(device))

    def recover(self, pixels: np.ndarray, people: list[DetectedPerson], camera: Camera) -> list[RecoveredPerson]:
        if not people:
            return []
        mirrored = np.array([person.side == "left" for person in people])
        crops: list[Crop] = []
        poses: list[np.ndarray] = []
        if self._size is not None:
            aspect = self._size[1] / self._size[0]
            crops = [crop_around(person, self.part, aspect, person.side == "left") for person in people]
            inputs = np.stack([cut(pixels, crop, self._size) for crop in crops])
        elif self.pose_set:
            poses = [pose_of(person, self.pose_set) for person in people]
            flips = np.where(mirrored, -1.0, 1.0)
            inputs = np.stack([normalise_pose(p[:, :2] * [f, 1]) for p, f in zip(poses, flips, strict=True)])
        else:  # MediaPipe's landmarks, 2D and 3D
            poses = [np.asarray(person.keypoints2d, np.float64) for person in people]
            inputs = self.network.adapter.encode(people)  # type: ignore[attr-defined]
        out = self.engine(torch.as_tensor(inputs))
        bodies = self._bodies(out, mirrored)
        recovered = []
        for k, person in enumerate(people):
            if crops:
                matched = self._by_keypoints(bodies, k, person) if self.network.spec.rough_camera else None
                match = matched or self._by_crop(bodies, k, crops[k], out["camera"][k])
                ray_rotation = rotation_to_ray(crops[k].centre, camera)
            else:
                keypoints = out["keypoints"][k].double().cpu().numpy() * (_MIRROR if mirrored[k] else 1)
                match = keypoints, poses[k][:, :2], poses[k][:, 2]
                ray_rotation = rotation_to_ray(match[1].mean(0), camera)
                if not self.pose_set:  # landmarks are in the axes of the ray to the hips
                    ray_rotation = ray_rotations(match[1][None, HIPS].mean(1), camera)[0]
            recovered.append(self._in_camera(bodies, k, ray_rotation, match, person, camera))
        return recovered

    def _bodies(self, out: dict[str, Tensor], mirrored: np.ndarray) -> dict[str, np.ndarray]:
        """SMPL parameters, vertices and joints of all people, float64, in the network's frame; left hands mirrored."""
        if "rotations" in out:
            rotations, betas = out["rotations"], out["betas"].clamp(-_MAX_BETA, _MAX_BETA)
            trans = torch.zeros_like(betas[:, :3])
        else:
            fit = fit_vertices(self.body, out["vertices"])
            rotations, betas, trans = fit.rotations, fit.betas, fit.trans
        with torch.inference_mode():
            posed = self.body(None, betas, trans, rotations=rotations)
            rest = self.body.rest_joints(betas)[:, 0]
        tensors = {
            "rotations": rotations, "betas": betas, "trans": trans, "rest": rest, "vertices": posed.vertices,
            "joints": posed.joints,
        }  # fmt: skip
        arrays = {name: value.double().cpu().numpy() for name, value in tensors.items()}
        for name in ("trans", "rest", "vertices", "joints"):
            arrays[name][mirrored] *= _MIRROR
        arrays["rotations"][mirrored] *= _MIRROR[:, None] * _MIRROR
        return arrays | {"mirrored": mirrored}

    def _by_crop(self, bodies: dict[str, np.ndarray], k: int, crop: Crop, camera: Tensor) -> Match:
        """The body's joints, and their pixels by the network's weak-perspective camera."""
        scale, shift = float(camera[0]), camera[1:].double().cpu().numpy()
        joints = bodies["joints"][k]
        in_crop = joints * (_MIRROR if crop.mirrored else 1)
        if not np.isfinite([scale, *shift]).all() or not _MIN_SCALE < scale < _MAX_SCALE:
            # implausible camera: centre the body, 80 % of the crop high
            scale = 1.6 / max(float(np.ptp(bodies["vertices"][k][:, 1])), 1e-3)
            shift = -in_crop[:, :2].mean(0)
        return joints, crop.to_photo(scale * (in_crop[:, :2] + shift)), np.ones(len(joints))

    def _by_keypoints(self, bodies: dict[str, np.ndarray], k: int, person: DetectedPerson) -> Match | None:
        """The body's keypoints, detected pixels and visibility; None where these are too few."""
        names, points, observed = matched_keypoints(self.body, bodies["vertices"][k], bodies["joints"][k], person)
        if len(names) < _MIN_KEYPOINTS:
            return None
        return points, observed[:, :2], observed[:, 2]

    def _in_camera(
        self,
        bodies: dict[str, np.ndarray],
        k: int,
        ray_rotation: np.ndarray,
        match: Match,
        person: DetectedPerson,
        camera: Camera,
    ) -> RecoveredPerson:
        """One person's body in the camera frame: rotated to its ray, and translated so that its points project onto
        their pixels."""
        points, targets, weights = match
        shift = solve_translation(points @ ray_rotation.T, targets, weights, camera)
        rotations = bodies["rotations"][k].copy()
        rotations[0] = ray_rotation @ rotations[0]
        rest = bodies["rest"][k]
        vertices, joints = (bodies[name][k] @ ray_rotation.T + shift for name in ("vertices", "joints"))
        confidence, error_px, error_relative = keypoint_agreement(self.body, vertices, joints, person, camera)
        return RecoveredPerson(
            poses=axis_angle_from_matrix(torch.as_tensor(rotations)).numpy().astype(np.float32),
            betas=bodies["betas"][k].astype(np.float32),
            # the root joint is the centre of the rotation, not the origin
            trans=(ray_rotation @ (rest + bodies["trans"][k]) - rest + shift).astype(np.float32),
            joints=joints.astype(np.float32),
            vertices=vertices.astype(np.float32),
            confidence=confidence,
            keypoints2d=np.asarray(person.keypoints2d, np.float32),
            box=np.asarray(person.box, np.float32),
            score=float(person.score),
            reprojection_px=error_px,
            reprojection_relative=error_relative,
            mirrored=bool(bodies["mirrored"][k]),
        )

    def _example(self, device: str) -> Tensor:
        """Two random inputs, for the engine's `error_mm`."""
        generator = torch.Generator().manual_seed(0)
        if self._size is not None:
            return torch.randn(2, 3, *self._size, generator=generator).to(device)
        if not self.pose_set:
            return torch.randn(2, LANDMARK_INPUTS, generator=generator).to(device)
        return torch.randn(2, len(POSE_SETS[self.pose_set].joints), 2, generator=generator).to(device)


def predict_tensors(module: nn.Module, inputs: Tensor, adapter: Adapter, body: nn.Module) -> dict[str, Tensor]:
    """The fields of the adapter's `Prediction` that are not None, by name."""
    prediction: Prediction = adapter.predict(module, inputs, body)  # type: ignore[arg-type]
    return {name: value for name, value in vars(prediction).items() if value is not None}
