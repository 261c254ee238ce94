"""The interface of a network family (`Adapter`) and its output (`Prediction`)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from backend.body.arrays import BodyArrays
from backend.body.model import BodyModel
from backend.body.registry import REGRESSOR_FILES
from backend.errors import BadInput
from backend.models.spec import NetworkSpec

Constants = Mapping[str, Tensor]


@dataclass(frozen=True)
class Prediction:
    """N people.  Metres, camera axes (x right, y down, z forward), any origin.

    camera: weak-perspective s, tx, ty: s (XY + t) is the position in the crop, whose longer side spans [-1, 1]; None
    where the input is not an image.  keypoints: joints of the mesh in the order of the input pose.
    """

    vertices: Tensor  # (N, V, 3)
    camera: Tensor | None = None  # (N, 3)
    rotations: Tensor | None = None  # (N, J, 3, 3) parent-relative
    betas: Tensor | None = None  # (N, B)
    keypoints: Tensor | None = None  # (N, K, 3)


@dataclass(frozen=True)
class Imported:
    """An official file's tensors: the network's state, its constants, and the body model if the file contains one."""

    tensors: dict[str, Tensor]
    constants: dict[str, Tensor]
    body: BodyArrays | None = None


class Adapter(Protocol):
    """Builds one family's networks, imports their official files and reads their outputs."""

    def input_size(self, spec: NetworkSpec) -> tuple[int, int] | None:
        """(H, W) px of the crops; None where the input is a pose."""
        return None

    def pose_set(self, spec: NetworkSpec) -> str | None:
        """Name of the 2D joint set of the input (`POSE_SETS`); None where the input is a crop."""
        return None

    def constants(self, spec: NetworkSpec, body: BodyModel) -> dict[str, Tensor]:
        """Tensors besides the state dict that weights trained on `body` depend on: regressors, mesh matrices."""
        return {}

    def convert(
        self, spec: NetworkSpec, tensors: dict[str, Tensor], body: BodyModel | None, files: Sequence[Path]
    ) -> Imported:
        """The tensors of an official file by our names.

        tensors: of the file, by its names; body: the user's; files: auxiliary files.  Raises BadInput.
        """

    def build(self, spec: NetworkSpec, body: BodyModel, constants: Constants) -> nn.Module:
        """The network with random weights."""

    def predict(self, module: nn.Module, inputs: Tensor, body: BodyModel) -> Prediction:
        """The bodies in inputs: crops (N, 3, H, W), ImageNet-normalised, or poses (N, J, 2), normalised.

        A network that takes crops also gives `camera`; one that takes poses gives `keypoints`.
        """


def regressed(body: BodyModel, names: Sequence[str], vertices: Tensor) -> Tensor | None:
    """Joints (N, K, 3) m by the first regressor of these names that the body has; None where it has none of them."""
    for name in names:
        if name in body.regressors:
            return body.regressors[name].to(vertices) @ vertices
    return None


def pelvis_of(body: BodyModel, vertices: Tensor) -> Tensor:
    """(N, 1, 3) m, Human3.6M's pelvis; joint 0 (SMPL's pelvis, MANO's wrist) where the body has no such regressor."""
    joints = regressed(body, ["h36m17"], vertices)
    if joints is None:
        joints = body.joint_regressor[:1].to(vertices) @ vertices
    return joints[:, :1]


def evaluation_regressor(body: BodyModel, name: str = "h36m17") -> Tensor:
    """(17, V) the body's regressor `name` of Human3.6M's joints; raises BadInput `regressor_missing`."""
    if name not in body.regressors:
        file = next((file for file, known in REGRESSOR_FILES.items() if known == name), name)
        raise BadInput(
            "regressor_missing",
            f"The body {body.name!r} has no regressor {name} of Human3.6M's 17 joints.",
            f"Import the body again with {file}: recover-mesh bodies import FILE --with PATH.",
        )
    return body.regressors[name].float().contiguous()


def adapter_of(spec: NetworkSpec) -> Adapter:
    """The adapter of a network's family: `backend.models.FAMILY.adapter.ADAPTER`."""
    return importlib.import_module(f"backend.models.{spec.family}.adapter").ADAPTER
