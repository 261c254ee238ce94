"""The small Pose2Mesh's adapter.  The input is MediaPipe's 33 landmarks in 2D and 3D, not an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from backend.body.mesh_levels import body_levels
from backend.body.model import BodyModel
from backend.errors import BadInput
from backend.models.adapter import Adapter, Constants, Imported, Prediction
from backend.models.fastmetro.adapter import mesh_constants, mesh_of
from backend.models.fastmetro.network import FastMETROMesh
from backend.models.pose2mesh_small.network import SmallPose2Mesh, features
from backend.models.spec import NetworkSpec
from backend.structures import DetectedPerson


class SmallPose2MeshAdapter(Adapter):
    """See `Adapter`.  The inputs are neither crops nor poses of a pose set, but those of `encode`."""

    def encode(self, people: Sequence[DetectedPerson]) -> np.ndarray:
        """(N, 199) float32, the network's input.  Raises BadInput `wrong_keypoints`."""
        for person in people:
            if person.keypoint_set != "blazepose33":
                raise BadInput(
                    "wrong_keypoints",
                    f"The small Pose2Mesh takes MediaPipe's 33 landmarks, not {person.keypoint_set}.",
                    "Let the people be detected, or choose another Pose2Mesh model.",
                )
        return features(
            np.stack([person.keypoints2d for person in people]).astype(np.float64),
            np.stack([person.keypoints3d for person in people]).astype(np.float64),
        )

    def constants(self, spec: NetworkSpec, body: BodyModel) -> dict[str, Tensor]:
        levels = body_levels(body.v_template.double().cpu().numpy(), body.faces.cpu().numpy())
        return mesh_constants(FastMETROMesh(levels.adjacency[2], levels.up[0] @ levels.up[1]))

    def convert(
        self, spec: NetworkSpec, tensors: dict[str, Tensor], body: BodyModel | None, files: Sequence[Path]
    ) -> Imported:
        raise BadInput(
            "nothing_to_import",
            f"{spec.label} has no official file: its weights come with the program.",
            "Train others with python -m training.synthetic.train_pose2mesh_small.",
        )

    def build(self, spec: NetworkSpec, body: BodyModel, constants: Constants) -> nn.Module:
        mesh = mesh_of(constants)
        return SmallPose2Mesh(mesh.adjacent, mesh.up, **spec.settings)

    def predict(self, module: nn.Module, inputs: Tensor, body: BodyModel) -> Prediction:
        vertices = module(inputs)["vertices"].float()
        return Prediction(vertices, keypoints=body.regressors["blazepose33"].to(vertices) @ vertices)


ADAPTER = SmallPose2MeshAdapter()
