"""The training module of DeFormer: losses on every coordinate estimate, AdamW (Yoshiyasu, CVPR 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from backend.body.hierarchy import LEVELS, mesh_hierarchy
from backend.body.mesh_levels import body_levels
from backend.body.model import BodyModel
from backend.models.adapter import evaluation_regressor
from backend.models.deformer.network import DeFormer
from training.losses.body_targets import BodyTargets
from training.losses.deformer import DeFormerLoss, DeFormerWeights
from training.losses.surface import Surface
from training.modules.evaluation_module import EvaluationModule, step_decay_schedule

_SLOW_MODULES = ("backbone.", "sampling_offsets.")


class DeFormerModule(EvaluationModule):
    """Takes batches of `training.preprocessing.metro_style`.

    slow_rate: learning rate of the backbone and of the sampling offsets, as in Deformable DETR.  warmup: optimiser
    steps.  step: epochs until the learning rates are multiplied by gamma.
    """

    def __init__(
        self,
        model: DeFormer,
        body: BodyModel,
        weights: DeFormerWeights,
        learning_rate: float,
        slow_rate: float,
        weight_decay: float,
        warmup: int,
        step: float,
        gamma: float,
        protocols: Sequence[str] = (),
        upstream_quirks: bool = True,
    ) -> None:
        super().__init__(protocols, upstream_quirks)
        self.model, self.body = model, body
        self.learning_rate, self.slow_rate, self.weight_decay = learning_rate, slow_rate, weight_decay
        self.warmup, self.step, self.gamma = warmup, step, gamma
        vertices, faces = body.v_template.double().cpu().numpy(), body.faces.cpu().numpy()
        self.targets = BodyTargets(body, evaluation_regressor(body), body_levels(vertices, faces).down)
        size, triangles = len(vertices), faces
        if model.config.queries != size:  # else every vertex is a query, and the full mesh must be kept smooth
            size, triangles = LEVELS[0], mesh_hierarchy(vertices, faces)[0].faces
        self.loss = DeFormerLoss(Surface(triangles), size, weights)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        out = self.model(batch["image"])
        with self.full_precision():
            targets = self.targets(batch)
            scale = out["scale"].float()
            # estimate 0 is the template, which has no parameters
            estimates = [x.float() for x in out["estimates"][:, 1:].unbind(1)]
            outputs = [self.model.measure(x, scale) for x in estimates]
            parts = self.loss(estimates, outputs, targets)
        return self.log_parts(parts)

    def validation_step(self, batch: dict[str, Tensor], index: int, dataloader_idx: int = 0) -> None:
        out = self.model(batch["image"])
        with self.full_precision():
            joints, vertices = out["mesh_joints"].float(), out["vertices"].float()
            self.update_metrics(dataloader_idx, joints, vertices, self.targets(batch))

    def visualised(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        out = self.model(batch["image"])
        return batch["image"], out["vertices"], out["camera"], self.body.faces

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        groups: list[dict[str, Any]] = [{"params": []}, {"params": [], "lr": self.slow_rate}]
        for name, parameter in self.model.named_parameters():
            groups[any(part in name for part in _SLOW_MODULES)]["params"].append(parameter)
        optimizer = torch.optim.AdamW(groups, self.learning_rate, weight_decay=self.weight_decay)
        schedule = step_decay_schedule(optimizer, self, self.step, self.gamma, self.warmup)
        return {"optimizer": optimizer, "lr_scheduler": schedule}
