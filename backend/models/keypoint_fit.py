"""The built-in model: the open body fitted to detected keypoints.  No network, no licence, no download."""

from __future__ import annotations

import numpy as np
import torch

from backend.body.keypoint_fit import fit_keypoints
from backend.body.loader import load_body
from backend.models.registry import DEFAULT_MODEL, ModelSpec, get_model
from backend.people.person import DetectedPerson
from backend.results import Camera, RecoveredPerson


class KeypointFitModel:
    """See `RecoveryModel`.  The fit is small and runs in float64 on the CPU whatever the device."""

    def __init__(self) -> None:
        self.spec: ModelSpec = get_model(DEFAULT_MODEL)
        self.body = load_body("open")

    def recover(
        self, pixels: np.ndarray, people: list[DetectedPerson], camera: Camera
    ) -> list[RecoveredPerson]:
        if not people:
            return []
        fits = fit_keypoints(self.body, people, camera)

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
