"""What every network family offers, and what every network answers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from backend.body.arrays import BodyArrays
from backend.body.model import BodyModel
from backend.body.registry import REGRESSOR_FILES
from backend.errors import BadInput
from backend.models.spec import NetworkSpec

Constants = Mapping[str, Tensor]


@dataclass(frozen=True)
class Prediction:
    """N people.  Metres, camera axes (x right, y down, z away), any origin.

    camera: weak perspective s, tx, ty: s (XY + t) is the place in the crop, whose longer side spans [-1, 1]; None
    where the network knows no image.  keypoints: the mesh's own joints in the order of the pose that went in.
    """

    vertices: Tensor  # (N, V, 3)
    camera: Tensor | None = None  # (N, 3)
    rotations: Tensor | None = None  # (N, J, 3, 3) parent-relative
    betas: Tensor | None = None  # (N, B)
    keypoints: Tensor | None = None  # (N, K, 3)


@dataclass(frozen=True)
class Imported:
    """Official tensors, sorted: those of the network, what it is bound to, and a body if the file brought one."""

    tensors: dict[str, Tensor]
    constants: dict[str, Tensor]
    body: BodyArrays | None = None


class Adapter(Protocol):
    """input_size (H, W) of the crops, or pose_set for networks that take 2D poses; the other one is None."""

    def input_size(self, spec: NetworkSpec) -> tuple[int, int] | None: ...

    def pose_set(self, spec: NetworkSpec) -> str | None: ...

    def constants(self, spec: NetworkSpec, body: BodyModel) -> dict[str, Tensor]:
        """What weights trained on `body` by us are bound to, beside the body itself."""
        ...

    def convert(
        self, spec: NetworkSpec, tensors: dict[str, Tensor], body: BodyModel | None, files: Sequence[Path]
    ) -> Imported:
        """Official tensors, by the names of the original; body: the user's; files: auxiliary ones at hand."""
        ...

    def build(self, spec: NetworkSpec, body: BodyModel, constants: Constants) -> nn.Module:
        """The network, with initial weights."""
        ...

    def predict(self, module: nn.Module, inputs: Tensor, body: BodyModel) -> Prediction:
        """inputs: crops (N, 3, H, W), ImageNet-normalised, or poses (N, J, 2), normalised."""
        ...


def pick_file(files: Sequence[Path], name: str, why: str, hint: str) -> Path:
    """The file of that name; raises BadInput `auxiliary_missing`."""
    for path in files:
        if path.name == name:
            return path
    raise BadInput("auxiliary_missing", f"{name} is needed: {why}.", hint)


def regressed(body: BodyModel, names: Sequence[str], vertices: Tensor) -> Tensor | None:
    """Joints (N, K, 3) by the first of the body's regressors of these names; None where it has none of them."""
    for name in names:
        if name in body.regressors:
            return body.regressors[name].to(vertices) @ vertices
    return None


def pelvis_of(body: BodyModel, vertices: Tensor) -> Tensor:
    """(N, 1, 3) Human3.6M's pelvis of a mesh, SMPL's where the body has no such regressor; a hand's wrist."""
    joints = regressed(body, ["h36m17"], vertices)
    if joints is None:
        joints = body.joint_regressor[:1].to(vertices) @ vertices
    return joints[:, :1]


def evaluation_regressor(body: BodyModel, name: str = "h36m17") -> Tensor:
    """(17, V) a regressor of Human3.6M's joints, by its name in the body; raises BadInput `regressor_missing`."""
    if name not in body.regressors:
        file = next((file for file, known in REGRESSOR_FILES.items() if known == name), name)
        raise BadInput(
            "regressor_missing",
            f"The body {body.name!r} has no regressor {name} of Human3.6M's 17 joints.",
            f"Import the body again with {file}: recover-mesh bodies import FILE --with PATH.",
        )
    return body.regressors[name].float().contiguous()


def sparse_parts(prefix: str, indices: Tensor, values: Tensor, shape: tuple[int, int]) -> dict[str, Tensor]:
    """A sparse matrix as plain tensors under `prefix`, as `sparse_from` reads it.  indices: (2, n)."""
    return {
        f"{prefix}.indices": indices.to(torch.int32).contiguous(),
        f"{prefix}.values": values.to(torch.float32).contiguous(),
        f"{prefix}.shape": torch.tensor(shape, dtype=torch.int64),
    }


def adapter_of(spec: NetworkSpec) -> Adapter:
    """The adapter of a network's family: `backend.models.FAMILY.adapter.ADAPTER`."""
    return importlib.import_module(f"backend.models.{spec.family}.adapter").ADAPTER
