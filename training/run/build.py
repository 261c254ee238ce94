"""Builds network and module from a run file, and loads initial weights."""

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
    """What `build_module` returns.

    module: a LightningModule with the network as `model`.  initial_weights: file -> content, for the manifest.
    """

    module: LightningModule
    body: BodyModel
    initial_weights: dict[str, str]


def build_module(run: Run, root: Path | None = None) -> Built:
    """The run's module with random weights, drawn from its seed.  root: folder of the files that settings name.

    Raises BadInput `unknown_model`, `unknown_body`, `bad_run`, `body_mismatch`, and the adapter's own.
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
            f"{file}: body {run.body!r} has {len(body.parents)} joints, {spec.label} predicts a {spec.part} "
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
    """The modules of the backbone that `start.freeze` freezes.

    Raises BadInput `bad_run` for `early` with a backbone that has no `early_layers`.
    """
    if run.start.freeze == "backbone":
        return [backbone]
    early = getattr(backbone, "early_layers", None)
    if early is None:
        raise bad_run(
            Path(run.file).name,
            "start.freeze",
            f"is early, but the backbone of {run.network} has no early layers",
            "Freeze backbone, or nothing.",
        )
    return early()


def load_initial_weights(built: Built, run: Run, root: Path, given: Path | None = None) -> None:
    """Loads the run's initial weights into the network.  given: file of a full network, in place of the run's own.

    Raises BadInput `start_missing`, and as `load_network` and `load_backbone` do.
    """
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
            path = load_mediapipe_backbone(cast(BlazePose, backbone))  # only BlazePose takes the wheel's weights
            built.initial_weights[str(path)] = "the backbone of MediaPipe's pose network"
        else:
            path = root / run.start.backbone
            built.initial_weights[str(path)] = str(load_backbone(backbone, path))


def _weights_of_run(earlier: str, run: Run) -> Path:
    """The exported weights of an earlier run.  Raises BadInput `start_missing`."""
    path = exported_weights(earlier, run.seed)
    if path is None:
        raise BadInput(
            "start_missing",
            f"{run.name} starts from the weights of {earlier}, which has not been run here.",
            "Run it first, or give a file with --from.",
        )
    return path
