"""A trained network as the file that `recover-mesh recover --model` reads: safetensors with a card in it."""

from __future__ import annotations

import datetime
from pathlib import Path

from torch import Tensor, nn

from backend.body.model import BodyModel
from backend.models.adapters import adapter_of
from backend.models.networks import network
from backend.models.store import Card
from backend.models.weights import faces_hash, save_weights
from training.run import Run

_TRAINED = "Weights of your own training: they may be bound by the licences of its data and body"


def export_weights(
    model: nn.Module,
    body: BodyModel,
    run: Run,
    folder: Path,
    *,
    source: str,
    notes: str = "",
    license_text: str = "",
    testing: bool = False,
) -> Path:
    """Write `folder/NETWORK.safetensors` (of PoseNet alone: `folder/RUN.safetensors`, which only training reads).

    source: run, step and checkpoint in one line.  testing: of a dry run.  Raises RecoverMeshError `unwritable`.
    """
    spec = network(run.network)
    whole = run.settings.get("stage") != "posenet"
    part: nn.Module = model if whole else model.get_submodule("pose_lifter")
    constants: dict[str, Tensor] = dict(adapter_of(spec).constants(spec, body)) if whole else {}
    card = Card(
        name=spec.name,
        body=body.name,
        faces=faces_hash(body),
        license=license_text or f"{_TRAINED} ({body.license})",
        source=source,
        made=datetime.date.today().isoformat(),
        testing=testing,
        notes=notes,
    )
    name = spec.name if whole else run.name
    return save_weights(part, constants, card, folder / f"{name}.safetensors")
