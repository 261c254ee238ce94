"""FastMETRO's adapter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from backend.body.mesh_levels import body_levels
from backend.body.model import BodyModel
from backend.errors import BadInput
from backend.models.adapter import Adapter, Constants, Imported, Prediction, pelvis_of
from backend.models.fastmetro.mesh_sampler import read_mesh_sampler
from backend.models.fastmetro.network import FastMETRO, FastMETROConfig, FastMETROMesh
from backend.models.spec import NetworkSpec

_COARSE = {"body": (1723, 431), "hand": (195,)}


class FastMETROAdapter(Adapter):
    """See `Adapter`.  The constants are the coarse mesh's adjacency and the upsampling to the full mesh."""

    def input_size(self, spec: NetworkSpec) -> tuple[int, int] | None:
        return (224, 224)

    def constants(self, spec: NetworkSpec, body: BodyModel) -> dict[str, Tensor]:
        vertices, faces = body.v_template.double().cpu().numpy(), body.faces.cpu().numpy()
        levels = body_levels(vertices, faces, _COARSE[spec.part])
        return mesh_constants(FastMETROMesh(levels.adjacency[-1], levels.up[0]))

    def convert(
        self, spec: NetworkSpec, tensors: dict[str, Tensor], body: BodyModel | None, files: Sequence[Path]
    ) -> Imported:
        file = next((path for path in files if path.name == spec.needs[0]), None)
        if file is None:
            raise BadInput(
                "auxiliary_missing",
                f"{spec.needs[0]} is needed: it has the coarse mesh that the official weights were trained on.",
                "Take it from src/modeling/data of github.com/postech-ami/FastMETRO and name its folder: "
                "--with FOLDER.",
            )
        sampler = read_mesh_sampler(file)
        level, count = len(_COARSE[spec.part]), _COARSE[spec.part][-1]
        sizes = [a.shape[0] for a in sampler.adjacency]
        if len(sizes) <= level or sizes[level] != count:
            raise BadInput(
                "not_a_mesh_sampler",
                f"{file.name} has levels of {sizes} vertices, expected {count} at level {level}.",
                f"Give the {spec.part} file of FastMETRO's repository.",
            )
        # the attention mask needs self-loops; not every file has them
        adjacent = sampler.adjacency[level] + sp.identity(count)
        return Imported(tensors, mesh_constants(FastMETROMesh(sp.csr_matrix(adjacent), sampler.up[0])))

    def build(self, spec: NetworkSpec, body: BodyModel, constants: Constants) -> nn.Module:
        return FastMETRO(FastMETROConfig(**spec.settings), mesh_of(constants))

    def predict(self, module: nn.Module, inputs: Tensor, body: BodyModel) -> Prediction:
        out = module(inputs)
        vertices = out["pred_3d_vertices_fine"].float()
        # the camera is for the mesh with its pelvis (hand: wrist) at the origin
        return Prediction(vertices - pelvis_of(body, vertices), out["pred_cam"].float())


def mesh_constants(mesh: FastMETROMesh) -> dict[str, Tensor]:
    """A mesh as the tensors of a weights file: NAME.indices (2, n), NAME.values (n,), NAME.shape (2,) per matrix."""
    tensors: dict[str, Tensor] = {}
    for name, matrix in (("adjacent", mesh.adjacent), ("up", mesh.up)):
        entries = sp.coo_matrix(matrix)
        tensors[f"{name}.indices"] = torch.as_tensor(np.stack([entries.row, entries.col]), dtype=torch.int32)
        tensors[f"{name}.values"] = torch.as_tensor(entries.data, dtype=torch.float32)
        tensors[f"{name}.shape"] = torch.tensor(entries.shape, dtype=torch.int64)
    return tensors


def mesh_of(constants: Constants) -> FastMETROMesh:
    """The mesh in a weights file's constants: the inverse of `mesh_constants`."""
    matrices = []
    for name in ("adjacent", "up"):
        indices, values = constants[f"{name}.indices"].numpy(), constants[f"{name}.values"].numpy()
        shape = tuple(constants[f"{name}.shape"].tolist())
        matrices.append(sp.csr_matrix((values, (indices[0], indices[1])), shape=shape))
    return FastMETROMesh(*matrices)


ADAPTER = FastMETROAdapter()
