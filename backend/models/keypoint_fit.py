"""The built-in model: fits the open body to detected keypoints, guided by the small Pose2Mesh.  No download.

The plain fit uses the keypoints alone.  The guided fit starts from the body that `pose2mesh-small` predicts, stays near
its joints, and replaces the detector's 3D keypoints by the lifter's landmarks.
"""

from __future__ import annotations

import numpy as np
import torch

from backend.body.keypoint_fit import KeypointFit, fit_keypoints
from backend.body.kinematics import State
from backend.body.loader import load_body
from backend.geometry import rotations_numpy as rot
from backend.models.recovery_model import ModelSpec, RecoveryModel
from backend.models.weights_files import EMBEDDED
from backend.structures import Camera, DetectedPerson, RecoveredPerson

GUIDE = "pose2mesh-small"


class KeypointFitModel(RecoveryModel):
    """See `RecoveryModel`.  The fit is small and runs in float64 on the CPU, whatever the device."""

    def __init__(self, spec: ModelSpec, guide: ModelSpec | None = None) -> None:
        """guide: the model `GUIDE`, for the guided fit.  Raises BadInput as loading that network does."""
        self.spec = spec
        self.body = load_body("open")
        self._guide = None if guide is None else Guide(guide)

    def recover(self, pixels: np.ndarray, people: list[DetectedPerson], camera: Camera) -> list[RecoveredPerson]:
        if not people:
            return []
        fits = self._fit(people, camera)

        def stack(name: str) -> torch.Tensor:
            return torch.as_tensor(np.stack([getattr(fit, name) for fit in fits]), dtype=torch.float32)

        with torch.inference_mode():
            out = self.body(stack("poses"), stack("betas"), stack("trans"))
        vertices, joints = out.vertices.numpy(), out.joints.numpy()
        return [
            RecoveredPerson(
                poses=np.asarray(fit.poses, np.float32),
                betas=np.asarray(fit.betas, np.float32),
                trans=np.asarray(fit.trans, np.float32),
                joints=joints[k],
                vertices=vertices[k],
                confidence=np.asarray(fit.confidence, np.float32),
                keypoints2d=np.asarray(person.keypoints2d, np.float32),
                box=np.asarray(person.box, np.float32),
                score=float(person.score),
                reprojection_px=float(fit.reprojection_px),
                reprojection_relative=float(fit.reprojection_relative),
            )
            for k, (fit, person) in enumerate(zip(fits, people, strict=True))
        ]

    def _fit(self, people: list[DetectedPerson], camera: Camera) -> list[KeypointFit]:
        if self._guide is None:
            return fit_keypoints(self.body, people, camera)
        refined, state = self._guide(people, camera)
        return fit_keypoints(self.body, refined, camera, guide=state)


class Guide:
    """The small Pose2Mesh with its embedded weights."""

    def __init__(self, spec: ModelSpec) -> None:
        from backend.models.inference.network_model import NetworkModel
        from backend.models.pose2mesh_small.refined_landmarks import LandmarkLifter

        self.network = NetworkModel(spec, "cpu", path=EMBEDDED / f"{GUIDE}.safetensors")
        self.lifter = LandmarkLifter.embedded()

    def __call__(self, people: list[DetectedPerson], camera: Camera) -> tuple[list[DetectedPerson], State]:
        """The people with refined 3D landmarks, and their bodies in the camera frame."""
        bodies = self.network.recover(np.zeros((1, 1, 3), np.uint8), people, camera)
        stacked = [np.stack([getattr(body, n) for body in bodies]).astype(float) for n in ("poses", "betas", "trans")]
        return self.lifter.refine(people), State(rot.exp(stacked[0]), *stacked[1:])
