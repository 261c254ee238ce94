"""The training module of Pose2Mesh: PoseNet alone, then the full network (Choi et al., ECCV 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from backend.body.loader import load_body
from backend.body.model import BodyModel
from backend.errors import BadInput
from backend.models.pose2mesh.network import Pose2Mesh
from training.evaluation.protocols import root_relative
from training.losses.body_targets import Pose2MeshTargets, hand_regressor
from training.losses.pose2mesh import Pose2MeshLoss, Pose2MeshWeights, PoseLiftLoss
from training.losses.surface import Surface
from training.modules.evaluation_module import EvaluationModule, step_decay_schedule
from training.preprocessing.pose2mesh_style import Target

Stage = Literal["posenet", "full"]


class Pose2MeshModule(EvaluationModule):
    """Takes batches of `training.preprocessing.pose2mesh_style`.

    stage: `posenet` trains the lifter alone, `full` trains everything; the mesh losses have no gradient to the lifter.
    target: joint set that is regressed from the mesh.  edge_from_epoch: first epoch with the edge loss, counted from 1.
    bodies: gender -> name of a body, for samples whose gender is known.  RMSprop without momentum; the learning rate
    is multiplied by gamma after `step` epochs.
    """

    root: Tensor

    def __init__(
        self,
        model: Pose2Mesh,
        body: BodyModel,
        stage: Stage,
        target: Target,
        learning_rate: float,
        step: float,
        gamma: float,
        weights: Pose2MeshWeights | None = None,
        edge_from_epoch: int = 1,
        bodies: Mapping[str, str] | None = None,
        protocols: Sequence[str] = (),
        upstream_quirks: bool = True,
    ) -> None:
        """Raises BadInput `regressor_missing`."""
        super().__init__(protocols, upstream_quirks)
        self.model, self.body, self.stage = model, body, stage
        self.learning_rate, self.step, self.gamma = learning_rate, step, gamma
        self.edge_from_epoch = edge_from_epoch
        if stage == "posenet":
            model.pose2mesh.requires_grad_(False)
        regressor = target_regressor(body, target)
        gendered = {gender: load_body(name) for gender, name in (bodies or {}).items()}
        self.targets = Pose2MeshTargets(body, regressor, gendered)
        self.lift_loss = PoseLiftLoss(upstream_quirks)
        surface = Surface(body.faces.cpu().numpy())
        self.loss = Pose2MeshLoss(surface, regressor, weights, upstream_quirks)
        # the origin in which meshes are compared: SMPL's pelvis, MANO's wrist
        self.register_buffer("root", body.joint_regressor[0].float().clone(), persistent=False)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        if self.stage == "posenet":
            lifted = self.model.pose_lifter(batch["pose2d"])
            with self.full_precision():
                parts = self.lift_loss(lifted.float(), batch["lifted"], batch["lift_valid"])
            return self.log_parts(parts)
        out = self.model(batch["pose2d"])
        with self.full_precision():
            mesh, joints = self.targets(batch)
            parts = self.loss(
                out["vertices"].float(),
                mesh,
                joints,
                batch["mesh_valid"],
                batch["joints_valid"],
                out["joints"].float(),
                batch["lifted"],
                batch["lift_valid"],
                with_edges=self.current_epoch + 1 >= self.edge_from_epoch,
            )
        return self.log_parts(parts)

    def validation_step(self, batch: dict[str, Tensor], index: int, dataloader_idx: int = 0) -> None:
        evaluator = self.evaluator(dataloader_idx)
        # FreiHAND's evaluation images have no labels: their poses are zeros
        known = batch["pose"].abs().sum(1) > 0
        if self.stage == "posenet":
            lifted = self.model.pose_lifter(batch["pose2d"]).float()
            with self.full_precision():
                evaluator.update(lifted / 1000, batch["lifted"] / 1000, known)
            return
        vertices = self.model(batch["pose2d"])["vertices"].float()
        with self.full_precision():
            mesh, joints = self.targets(batch)
            joints_of_mesh = self.targets.regressor @ vertices
            evaluator.update(
                joints_of_mesh,
                joints / 1000,
                known | batch["joints_given"].bool(),
                root_relative(vertices, self.root),
                root_relative(mesh, self.root),
                known,
            )
        if not evaluator.protocol.has_public_gt:
            self.submission.add(*(x.cpu().numpy() for x in (batch["index"], joints_of_mesh, vertices)))

    def visualised(self, batch: dict[str, Tensor]) -> tuple[None, Tensor, None, Tensor] | None:
        """See `MeshImageCallback`.  None for PoseNet alone, which has no mesh."""
        if self.stage == "posenet":
            return None
        return None, self.model(batch["pose2d"])["vertices"], None, self.body.faces

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.RMSprop(trained, self.learning_rate)
        return {"optimizer": optimizer, "lr_scheduler": step_decay_schedule(optimizer, self, self.step, self.gamma)}


def target_regressor(body: BodyModel, target: Target) -> Tensor:
    """The joint regressor (K, V) of a target set.  Raises BadInput `regressor_missing`."""
    if target == "smpl":
        return body.joint_regressor.float()
    if target == "mano":
        return hand_regressor(body)
    if "h36m17" not in body.regressors:
        raise BadInput(
            "regressor_missing",
            f"The body {body.name!r} has no regressor of Human3.6M's 17 joints.",
            "Import it again with J_regressor_h36m_correct.npy: recover-mesh bodies import FILE --with PATH.",
        )
    return body.regressors["h36m17"].float()
