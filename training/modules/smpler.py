"""The training module of SMPLer: the backbone stage, and the full network (Xu et al., PAMI 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.body.model import BodyModel
from backend.body.registry import OPEN_BODIES
from backend.errors import BadInput
from backend.models.adapter import evaluation_regressor
from backend.models.smpler.network import SMPLer
from training.losses.body_targets import BodyTargets, EvaluationRegressor
from training.losses.smpler import SMPLerLoss, SMPLerWeights
from training.modules.evaluation_module import EvaluationModule, in_float32, step_decay_schedule

# 6D root rotation of an upright body in the camera frame, whose y is down: 180 degrees about x
_UPRIGHT_ROOT = (1.0, 0.0, 0.0, -1.0, 0.0, 0.0)


class SMPLerModule(EvaluationModule):
    """Takes batches of `training.preprocessing.metro_style`; only the last stage is supervised.

    Adam on all parameters.  step 0: constant learning rate; else it is multiplied by gamma every `step` epochs after a
    linear warmup of `warmup` steps.  backbone_rate: learning rate of the backbone, where it differs.
    mean_parameters: `smpl_mean_params.npz` (pose (144,) 6D, shape (10,)), the initial estimate; None: a body of mean
    shape that stands upright with its arms out.
    joint_regressor: for the joints of network and labels.  `h36m17_3dpw` is SMPLer's own for 3DPW; the open body's only
    regressor takes its place.
    upstream_quirks: as in loss and evaluator.
    """

    def __init__(
        self,
        model: SMPLer,
        body: BodyModel,
        weights: SMPLerWeights,
        learning_rate: float,
        weight_decay: float = 0.0,
        joint_regressor: EvaluationRegressor = "h36m17",
        mean_parameters: str | None = None,
        step: float = 0,
        gamma: float = 1.0,
        warmup: int = 0,
        backbone_rate: float | None = None,
        protocols: Sequence[str] = (),
        upstream_quirks: bool = True,
    ) -> None:
        super().__init__(protocols, upstream_quirks)
        name = "h36m17" if body.name in OPEN_BODIES.values() else joint_regressor
        model.joint_regressor.copy_(evaluation_regressor(body, name))
        self.model, self.body = model, body
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.step, self.gamma, self.warmup, self.backbone_rate = step, gamma, warmup, backbone_rate
        self.targets = BodyTargets(body, model.joint_regressor)
        self.loss = SMPLerLoss(weights, upstream_quirks=upstream_quirks)
        pose, shape = _mean_parameters(mean_parameters)
        start = model.SMPL_predictor
        start.init_pose.copy_(pose[None])
        start.init_shape.copy_(shape[None])

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        stage = self.model(batch["image"])[-1]
        with self.full_precision():
            parts = self.loss(in_float32(stage), self.targets(batch))
        return self.log_parts(parts)

    def validation_step(self, batch: dict[str, Tensor], index: int, dataloader_idx: int = 0) -> None:
        stage = in_float32(self.model(batch["image"])[-1])
        vertices = stage["vertices_minus_pelvis"]
        with self.full_precision():
            self.update_metrics(dataloader_idx, stage["joints_minus_pelvis"], vertices, self.targets(batch))

    def visualised(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        stage = self.model(batch["image"])[-1]
        return batch["image"], stage["vertices"], stage["cam"], self.body.faces

    def configure_optimizers(self) -> Any:
        backbone_parameters = set(self.model.backbone.parameters()) if self.backbone_rate is not None else set()
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self.model.parameters() if p not in backbone_parameters]}
        ]
        if backbone_parameters:
            groups.append({"params": list(self.model.backbone.parameters()), "lr": self.backbone_rate})
        optimizer = torch.optim.Adam(groups, self.learning_rate, weight_decay=self.weight_decay)
        if not self.step:
            return optimizer
        schedule = step_decay_schedule(optimizer, self, self.step, self.gamma, self.warmup)
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def _mean_parameters(path: str | None) -> tuple[Tensor, Tensor]:
    """Pose (144,) 6D and shape (10,).  Raises BadInput `file_missing`, `bad_mean_parameters`."""
    if path is None:
        pose = torch.tensor((1.0, 0.0, 0.0, 1.0, 0.0, 0.0)).repeat(24)
        pose[:6] = torch.tensor(_UPRIGHT_ROOT)
        return pose, torch.zeros(10)
    hint = "Take smpl_mean_params.npz of SPIN's or SMPLer's repository."
    if not Path(path).is_file():
        raise BadInput("file_missing", f"There is no file {path}.", hint)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = [np.asarray(stored[name], np.float32).ravel() for name in ("pose", "shape")]
    except Exception as error:  # a corrupt archive can raise anything
        raise BadInput("bad_mean_parameters", f"{Path(path).name} cannot be read ({error}).", hint) from None
    if [len(values) for values in arrays] != [144, 10] or not all(np.isfinite(v).all() for v in arrays):
        raise BadInput(
            "bad_mean_parameters",
            f"{Path(path).name} has pose and shape of {[len(v) for v in arrays]} numbers, expected [144, 10], finite.",
            hint,
        )
    return torch.as_tensor(arrays[0]), torch.as_tensor(arrays[1])
