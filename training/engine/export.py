"""Exports a trained network as safetensors with a card, the file that `recover-mesh recover --model` reads."""

from __future__ import annotations

import datetime
from pathlib import Path

import scipy.sparse as sp
from torch import Tensor, nn

from backend.body.model import BodyModel
from backend.models.adapter import adapter_of
from backend.models.fastmetro.adapter import mesh_constants
from backend.models.fastmetro.network import FastMETRO, FastMETROMesh
from backend.models.smpler.network import SMPLer
from backend.models.spec import NetworkSpec, network
from backend.models.weights import faces_hash, save_weights
from backend.models.weights_files import Card
from training.run.spec import Run

_TRAINED = "Weights of your own training: they may be bound by the licences of its data and body"


def export_weights(
    model: nn.Module,
    body: BodyModel,
    run: Run,
    folder: Path,
    *,
    source: str,
    notes: str = "",
    testing: bool = False,
) -> Path:
    """Writes `folder/NETWORK.safetensors` -> its path (PoseNet alone: `folder/RUN.safetensors`, for training only).

    source: run, step and checkpoint in one line.  testing: from a dry run.  Raises RecoverMeshError `unwritable`.
    """
    spec = network(run.network)
    whole = run.settings.get("stage") != "posenet"
    part: nn.Module = model if whole else model.get_submodule("pose_lifter")
    constants = constants_of(model, spec, body) if whole else {}
    card = Card(
        name=spec.name,
        body=body.name,
        faces=faces_hash(body),
        license=f"{_TRAINED} ({body.license})",
        source=source,
        made=datetime.date.today().isoformat(),
        testing=testing,
        notes=notes,
    )
    name = spec.name if whole else run.name
    return save_weights(part, constants, card, folder / f"{name}.safetensors")


def constants_of(model: nn.Module, spec: NetworkSpec, body: BodyModel) -> dict[str, Tensor]:
    """Tensors that the weights depend on: FastMETRO's own mesh levels, which may differ from the body's; SMPLer's
    joint regressor; else the adapter's constants."""
    if isinstance(model, SMPLer):
        return {"joint_regressor": model.joint_regressor}
    if not isinstance(model, FastMETRO):
        return dict(adapter_of(spec).constants(spec, body))
    joints, up = model.config.joints, model.up
    adjacent = sp.csr_matrix(model.allowed[joints:, joints:].cpu().numpy())
    parts = (x.cpu().numpy() for x in (up.values, up.columns, up.rows))
    return mesh_constants(FastMETROMesh(adjacent, sp.csr_matrix(tuple(parts), shape=up.shape)))
