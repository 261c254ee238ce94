"""The fixed batch of an overfit run, and the metrics of a module on it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import default_collate

from backend.errors import BadInput
from backend.models.backbones.blazepose import BlazePose
from training.engine.calibration import calibrate
from training.modules.evaluation_module import EvaluationModule
from training.run.build import build_module
from training.run.build_data import build_datamodule
from training.run.spec import Run
from training.weights.mediapipe_weights import load_mediapipe_backbone

_MAX_ROWS = 64  # rows of the training set that are searched for labelled samples
# protocols whose ground truth only a server has -> one with the same metrics and local ground truth
_LOCAL_PROTOCOLS = {"freihand": "synthetic-hand"}


def build_one_batch(run: Run, root: Path, samples: int) -> tuple[EvaluationModule, list[int], dict[str, Tensor]]:
    """Module (with metrics that need no server), rows of the training set, and their batch.  root: of all files."""
    local = [replace(spec, protocol=_LOCAL_PROTOCOLS.get(spec.protocol, spec.protocol)) for spec in run.data.validate]
    run = replace(run, data=replace(run.data, validate=local, workers=0))
    built = build_module(run, root)
    module = built.module
    assert isinstance(module, EvaluationModule)
    data = build_datamodule(run, root, built.body)
    data.setup("fit")
    backbone = getattr(module.model, "backbone", None)
    if isinstance(backbone, BlazePose):
        load_mediapipe_backbone(backbone)
        calibrate(backbone, data)
    return module, *fixed_batch(data.sets["train"][0], data.prepare, samples)


def fixed_batch(records: Any, prepare: Any, samples: int) -> tuple[list[int], dict[str, Tensor]]:
    """The rows with the most labels (of equal ones the first), and their batch, without augmentation.

    Raises BadInput `too_few_rows`.
    """
    candidates = []
    for row in range(min(len(records), _MAX_ROWS)):
        item = prepare(records[row], None)
        candidates.append((sum(_labelled(item)), row, item))
    best = sorted(candidates, key=lambda s: (-s[0], s[1]))[:samples]
    if len(best) < samples:
        raise BadInput("too_few_rows", f"The set has {len(best)} samples, {samples} are needed.", "Give more data.")
    best.sort(key=lambda s: s[1])
    return [row for _, row, _ in best], default_collate([item for _, _, item in best])


def _labelled(item: dict[str, Any]) -> list[float]:
    names = ("has_2d", "has_3d", "has_mesh", "mesh_valid", "lift_valid", "joints_valid")
    return [float(item[name].mean()) for name in names if name in item]


def disable_dropout(module: nn.Module) -> None:
    """Sets every dropout probability to 0, also the floats `dropout` of attention and `drop` of residual paths."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        for name in ("dropout", "drop"):
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 0.0)


@torch.no_grad()
def set_batch_norm_statistics(module: EvaluationModule, batch: dict[str, Tensor]) -> None:
    """Sets batch norm's running statistics to those of this batch, so that evaluation equals training."""
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    hooks = [norm.register_forward_pre_hook(_record_count) for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    module.train()
    network: Any = module.model
    if getattr(module, "stage", "") == "posenet":
        network = network.pose_lifter
    network(batch["image"] if "image" in batch else batch["pose2d"])
    for norm, momentum, hook in zip(norms, momenta, hooks, strict=True):
        hook.remove()
        norm.momentum = momentum
    for norm in norms:
        # PyTorch normalises by the biased variance, but stores the unbiased one
        count = norm.__dict__.pop("_count", 0)
        if count > 1 and norm.running_var is not None:
            norm.running_var *= (count - 1) / count


def _record_count(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    norm.__dict__["_count"] = inputs[0].numel() // inputs[0].shape[1]


@torch.no_grad()
def evaluate_batch(module: EvaluationModule, batch: dict[str, Tensor]) -> dict[str, float]:
    """The batch's metrics by the first protocol, from the module's validation step in evaluation mode; mm."""
    moved = {name: value.to(module.device) for name, value in batch.items()}
    set_batch_norm_statistics(module, moved)
    module.eval()
    module.evaluator(0).reset()
    module.validation_step(moved, 0, 0)
    values = {name: float(value) for name, value in module.evaluator(0).compute().items()}
    module.evaluator(0).reset()
    return {name: value for name, value in values.items() if math.isfinite(value)}
