"""A run file -> network, module and data, checked before the first step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from lightning.pytorch import LightningModule

from backend.body.loader import load_body
from backend.body.model import BodyModel
from backend.errors import BadInput
from backend.models.adapter import adapter_of
from backend.models.backbones.blazepose import BlazePose
from backend.models.spec import network
from training.run.check import check_run, module_arguments_of
from training.run.registry import MODULES, instantiate, resolve
from training.run.requirements import FILES, WHEEL, exported_weights
from training.run.spec import Run
from training.schema import bad_run
from training.weights.initial_weights import load_backbone, load_network
from training.weights.mediapipe_weights import load_mediapipe_backbone


@dataclass(frozen=True)
class Built:
    """module: a LightningModule with `model`, the network; initial_weights: what it starts from, for the manifest."""

    module: LightningModule
    body: BodyModel
    initial_weights: dict[str, str]


def build_module(run: Run, root: Path | None = None) -> Built:
    """Initial weights, drawn from the run's seed.  root: where the settings' files are below.

    Raises BadInput `unknown_model`, `unknown_body`, `bad_run`, and the adapter's for a body that does not fit.
    """
    check_run(run)
    file = Path(run.file).name
    make = resolve(MODULES, run.module, file, "module")
    spec = network(run.network)
    adapter = adapter_of(spec)
    body = load_body(run.body)
    joints = {"body": 24, "hand": 16}[spec.part]
    if len(body.parents) != joints:
        raise BadInput(
            "body_mismatch",
            f"{file}: body {run.body!r} has {len(body.parents)} joints, {spec.label} answers with a {spec.part} "
            f"of {joints}.",
            "Name another one with --set body=NAME; see `recover-mesh bodies`.",
        )
    torch.manual_seed(run.seed)
    model = adapter.build(spec, body, adapter.constants(spec, body))
    if run.start.freeze != "nothing":
        for module in frozen_modules(run, model.get_submodule("backbone")):
            module.requires_grad_(False)
    settings = {k: str((root or Path()) / v) if k in FILES and v is not None else v for k, v in run.settings.items()}
    given = module_arguments_of(run, make) | {"model": model, "body": body}
    return Built(instantiate(make, settings, file, "settings", **given), body, {})


def frozen_modules(run: Run, backbone: torch.nn.Module) -> list[torch.nn.Module]:
    """What of the backbone keeps its values, where `start.freeze` says so.

    Raises BadInput `bad_run` for a backbone that does not know what is early.
    """
    if run.start.freeze == "backbone":
        return [backbone]
    early = getattr(backbone, "early_layers", None)
    if early is None:
        raise bad_run(
            Path(run.file).name,
            "start.freeze",
            f"is early, which the backbone of {run.network} does not know",
            "Freeze backbone, or nothing.",
        )
    return early()


def load_initial_weights(built: Built, run: Run, root: Path, given: Path | None = None) -> None:
    """Fill the network with what the run starts from.  given: a file of a whole network in place of the run's own."""
    model = built.module.model
    assert isinstance(model, torch.nn.Module)
    path = given
    if path is None and run.start.weights:
        path = root / run.start.weights
    if path is None and run.start.run:
        path = _weights_of_run(run.start.run, run)
    if path is not None:
        built.initial_weights[str(path)] = str(load_network(model, path))
    elif run.start.backbone_of:
        path = _weights_of_run(run.start.backbone_of, run)
        backbone = model.get_submodule("backbone")
        built.initial_weights[str(path)] = f"its backbone, {load_backbone(backbone, path)}"
    elif run.start.backbone:
        backbone = model.get_submodule("backbone")
        if run.start.backbone == WHEEL:
            path = load_mediapipe_backbone(cast(BlazePose, backbone))  # no other takes the wheel's weights
            built.initial_weights[str(path)] = "the backbone of MediaPipe's pose network"
        else:
            path = root / run.start.backbone
            built.initial_weights[str(path)] = str(load_backbone(backbone, path))


def _weights_of_run(earlier: str, run: Run) -> Path:
    """The weights of the run that this one starts from.  Raises BadInput `start_missing`."""
    path = exported_weights(earlier, run.seed)
    if path is None:
        raise BadInput(
            "start_missing",
            f"{run.name} starts from the weights of {earlier}, which has not been run here.",
            "Run it first, or give a file with --from.",
        )
    return path
