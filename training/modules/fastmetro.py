"""The training module of FastMETRO: bodies, hands, and the SMPL regressor (Cho et al., ECCV 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import scipy.sparse as sp
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from backend.body.hierarchy import mesh_hierarchy
from backend.body.mesh_levels import SparseMatrix, body_levels
from backend.body.model import BodyModel
from backend.errors import BadInput
from backend.models.adapter import evaluation_regressor
from backend.models.fastmetro.mesh_sampler import read_mesh_sampler
from backend.models.fastmetro.network import FastMETRO
from training.evaluation.protocols import PROTOCOLS
from training.losses import terms
from training.losses.body_targets import BodyTargets, HandTargets, hand_regressor
from training.losses.fastmetro import WRIST, FastMETROLoss, FastMETROWeights, SMPLRegressorLoss
from training.losses.surface import Surface, three_cycles
from training.modules.evaluation_module import EvaluationModule, in_float32, step_decay_schedule


class FastMETROModule(EvaluationModule):
    """Takes batches of `training.preprocessing.metro_style`.

    AdamW; the learning rate is multiplied by gamma every `step` epochs.  With an SMPL regressor its body is evaluated.
    regressor_weight: of its loss.  mesh_weight: factor on all other losses (1e-8 trains the regressor alone).
    token_rate: learning rate of the joint and vertex tokens; None: that of all parameters, as the original.  Tokens are
    initialised as noise of length sqrt(width); at a usual learning rate they need tens of thousands of steps to leave
    it, more than a short training has.
    mesh_sampler: METRO's `mesh_downsampling.npz` (hands: `mano_downsampling.npz`) with the mesh levels of the published
    weights; None: the body's own levels.
    start_from_mesh: initialise the learned upsampling from the coarse to the intermediate mesh with the body's own.
    upstream_quirks: as in losses and evaluator; also, normals of the intermediate mesh are compared on every three
    vertices that are adjacent to each other, some of which are not faces.
    """

    def __init__(
        self,
        model: FastMETRO,
        body: BodyModel,
        weights: FastMETROWeights,
        learning_rate: float,
        weight_decay: float,
        step: float,
        gamma: float,
        token_rate: float | None = None,
        regressor_weight: float = 1000.0,
        mesh_weight: float = 1.0,
        mesh_sampler: str | None = None,
        start_from_mesh: bool = False,
        protocols: Sequence[str] = (),
        upstream_quirks: bool = True,
    ) -> None:
        super().__init__(protocols, upstream_quirks)
        self.model, self.body = model, body
        self.learning_rate, self.weight_decay, self.step, self.gamma = (learning_rate, weight_decay, step, gamma)
        self.mesh_weight, self.token_rate = mesh_weight, token_rate
        self.hand = model.config.part == "hand"
        meshes = _MeshLevels(model, body, mesh_sampler, upstream_quirks)
        if start_from_mesh and not self.hand:
            with torch.no_grad():
                model.coarse2intermediate_upsample.weight.copy_(torch.as_tensor(meshes.coarse_upsampling.toarray()))
                model.coarse2intermediate_upsample.bias.zero_()
        self.targets: BodyTargets | HandTargets
        if self.hand:
            self.targets = HandTargets(body, hand_regressor(body), meshes.downs)
        else:
            self.targets = BodyTargets(body, evaluation_regressor(body), meshes.downs)
        self.loss = FastMETROLoss(meshes.surface, model.config.part, weights, upstream_quirks)
        self.regressor_loss = SMPLRegressorLoss(regressor_weight, upstream_quirks)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        pred = self._predict(batch["image"])
        with self.full_precision():
            targets = self.targets(batch)
            parts = self.loss(pred["joints"], pred["mesh_joints"], self._meshes(pred), pred["pred_cam"], targets)
            if "pred_betas" in pred:
                more = self.regressor_loss(
                    pred["pred_rotmat"],
                    pred["pred_betas"],
                    pred["smpl_vertices"],
                    pred["smpl_joints"],
                    pred["pred_cam"],
                    targets,
                )
                parts = {name: self.mesh_weight * value for name, value in parts.items()}
                parts = {**parts, **more, "loss": parts["loss"] + more["loss"]}
        return self.log_parts(parts)

    def _predict(self, images: Tensor) -> dict[str, Tensor]:
        """The network's output in float32, relative to the full mesh's root; the tokens' joints to their own root."""
        out = self.model(images)
        with self.full_precision():
            out = in_float32(out)
            joints, root = self.targets.mesh_joints(out["pred_3d_vertices_fine"])
            tokens = out.pop("pred_3d_joints")
            pred = {name: value - root if "vertices" in name else value for name, value in out.items()}
            pred["joints"] = terms.joint_relative(tokens, WRIST) if self.hand else terms.hip_relative(tokens)
            pred["mesh_joints"] = joints - root
            if "pred_betas" in out:
                posed = self.body(None, out["pred_betas"], rotations=out["pred_rotmat"]).vertices
                joints, pelvis = self.targets.mesh_joints(posed)
                pred["smpl_vertices"], pred["smpl_joints"] = posed - pelvis, joints - pelvis
        return pred

    def _meshes(self, pred: Mapping[str, Tensor]) -> list[Tensor]:
        """The predicted meshes, coarse to fine."""
        levels = ("coarse", "intermediate", "fine")
        return [pred[f"pred_3d_vertices_{k}"] for k in levels if f"pred_3d_vertices_{k}" in pred]

    def validation_step(self, batch: dict[str, Tensor], index: int, dataloader_idx: int = 0) -> None:
        pred = self._predict(batch["image"])
        vertices, joints = pred["pred_3d_vertices_fine"], pred["mesh_joints"]
        if "smpl_vertices" in pred:
            vertices, joints = pred["smpl_vertices"], pred["smpl_joints"]
        with self.full_precision():
            self.update_metrics(dataloader_idx, joints, vertices, self.targets(batch))
        if not PROTOCOLS[self.protocols[dataloader_idx]].has_public_gt:
            self.submission.add(*(x.cpu().numpy() for x in (batch["index"], joints, vertices)))

    def visualised(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        pred = self._predict(batch["image"])
        vertices = pred.get("smpl_vertices", pred["pred_3d_vertices_fine"])
        return batch["image"], vertices, pred["pred_cam"], self.body.faces

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        groups: list[dict[str, Any]] = [{"params": list(self.model.parameters())}]
        if self.token_rate is not None:
            tokens = [self.model.joint_token_embed.weight, self.model.vertex_token_embed.weight]
            token_set = set(tokens)  # `in` a list would compare tensors element by element
            groups[0]["params"] = [p for p in groups[0]["params"] if p not in token_set]
            groups.append({"params": tokens, "lr": self.token_rate})
        optimizer = torch.optim.AdamW(groups, self.learning_rate, weight_decay=self.weight_decay)
        return {"optimizer": optimizer, "lr_scheduler": step_decay_schedule(optimizer, self, self.step, self.gamma)}


class _MeshLevels:
    """The mesh levels that the losses use.

    downs: downsampling matrices, finest first; coarse_upsampling: from the coarsest to the next finer mesh;
    surface: of the mesh whose edges and normals are compared."""

    def __init__(self, model: FastMETRO, body: BodyModel, sampler: str | None, quirks: bool) -> None:
        hand = model.config.part == "hand"
        coarse, finer = model.vertex_token_embed.num_embeddings, model.up.shape[1]
        counts = (coarse,) if hand else (finer, coarse)
        vertices, faces = body.v_template.double().cpu().numpy(), body.faces.cpu().numpy()
        if sampler is None:
            levels = body_levels(vertices, faces, counts)
            adjacency, self.downs, self.coarse_upsampling = levels.adjacency, list(levels.down), levels.up[-1]
        else:
            read = read_mesh_sampler(Path(sampler))
            adjacency, self.downs = tuple(read.adjacency), read.down[: len(counts)]
            self.coarse_upsampling = read.up[len(counts) - 1]
            _use_mesh_sampler(model, read.adjacency, read.up[0], counts, len(vertices), sampler)
        if hand:
            triangles = faces
        elif quirks or sampler is not None:
            # the file's coarse faces are pickled: reading them would run code
            triangles = three_cycles(adjacency[1])
        else:
            triangles = mesh_hierarchy(vertices, faces, counts)[0].faces
        self.surface = Surface(triangles)


def _use_mesh_sampler(
    model: FastMETRO,
    adjacency: Sequence[sp.spmatrix],
    up: sp.spmatrix,
    counts: tuple[int, ...],
    full: int,
    file: str,
) -> None:
    """Replaces the network's mesh levels by the file's.  Raises BadInput `body_mismatch`."""
    sizes = tuple(a.shape[0] for a in adjacency)
    if sizes[: len(counts) + 1] != (full, *counts):
        raise BadInput(
            "body_mismatch",
            f"{Path(file).name} has meshes of {sizes} vertices, the network's are {(full, *counts)}.",
            "Take the file of FastMETRO's repository for this part, and the official body.",
        )
    joints = model.config.joints
    coarse = torch.as_tensor(adjacency[len(counts)].toarray() != 0) | torch.eye(counts[-1], dtype=torch.bool)
    model.allowed[joints:, joints:] = coarse
    model.up = SparseMatrix(up)
