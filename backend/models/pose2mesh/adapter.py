"""Pose2Mesh's adapter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from backend.body.model import BodyModel
from backend.errors import BadInput
from backend.models.adapter import Adapter, Constants, Imported, Prediction
from backend.models.pose2mesh.mesh_graph import MeshGraph, mesh_graph
from backend.models.pose2mesh.network import LEVELS, Pose2Mesh, Pose2MeshConfig
from backend.models.spec import NetworkSpec


class Pose2MeshAdapter(Adapter):
    """See `Adapter`.  No constants: the graphs are computed from the body's faces."""

    def pose_set(self, spec: NetworkSpec) -> str | None:
        return str(spec.settings["pose_set"])

    def convert(
        self, spec: NetworkSpec, tensors: dict[str, Tensor], body: BodyModel | None, files: Sequence[Path]
    ) -> Imported:
        if body is None:
            raise BadInput(
                "body_missing",
                f"{spec.label} needs {spec.needs[0]}: its graphs are built from the faces.",
                "Import it first: recover-mesh bodies import FILE; then name it with --body NAME.",
            )
        # the authors' training also saves the lifter alone
        if tensors and not any(name.startswith(("pose_lifter.", "pose2mesh.")) for name in tensors):
            raise BadInput(
                "checkpoint_mismatch",
                "The file contains only the lifter of Pose2Mesh (PoseNet).",
                "Give the file of the full network: final.pth.tar in a folder named pose2mesh_*.",
            )
        return Imported(tensors, {})

    def build(self, spec: NetworkSpec, body: BodyModel, constants: Constants) -> nn.Module:
        config = Pose2MeshConfig(**spec.settings)
        return Pose2Mesh(config, body_graph(body, config.part))

    def predict(self, module: nn.Module, inputs: Tensor, body: BodyModel) -> Prediction:
        out = module(inputs)
        return Prediction(out["vertices"].float(), keypoints=out["joints"].float() / 1000)


def body_graph(body: BodyModel, part: str) -> MeshGraph:
    """The graph hierarchy of a body's faces.  part: `body` or `hand`."""
    return mesh_graph(body.faces.cpu().numpy(), LEVELS[part])


ADAPTER = Pose2MeshAdapter()
