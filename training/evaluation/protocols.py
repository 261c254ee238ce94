"""Evaluation protocols: joints, origin, split, gender and mean of each benchmark's metrics.

Two families of papers report the same benchmarks differently: METRO's (FastMETRO, SMPLer, DeFormer) and Pose2Mesh's.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from backend.body.joint_sets import J14_HIPS
from training.datasets.joint_sets import JOINT_SETS
from training.evaluation.metrics import MPJPE, MPVPE, PAMPJPE, FScore, SampleMean, Unlabelled

# of Human3.6M's 17 joints, the 14 that Pose2Mesh evaluates
H36M_EVALUATED = JOINT_SETS["h36m17"].evaluated or ()
MeshRoot = Literal["h36m pelvis", "smpl pelvis", "wrist", ""]


@dataclass(frozen=True)
class EvaluationProtocol:
    """One protocol.  joints: indices of the evaluated joints in `joint_set`.  origin: indices of the joints whose
    centroid is the origin for MPJPE.  mesh_root: the origin for MPVPE, "" where meshes are not compared.  unlabelled:
    of PA-MPJPE, and per_batch: mean of batch means; both only with `upstream_quirks`.  has_public_gt: False where only
    the benchmark's server has the ground truth.
    """

    name: str
    benchmark: str
    split: str
    joint_set: str
    joints: tuple[int, ...]
    origin: tuple[int, ...]
    mesh_root: MeshRoot
    gender: str
    metrics: tuple[str, ...] = ("MPJPE", "PA-MPJPE", "MPVPE")
    unlabelled: Unlabelled = "valid"
    per_batch: bool = False
    has_public_gt: bool = True
    note: str = ""

    def description(self, metric: str) -> str:
        """One line: the metric with all that it depends on."""
        origin = f"joint {self.origin[0]}" if len(self.origin) == 1 else f"the centroid of joints {self.origin}"
        where = {
            "MPVPE": f"all vertices, {self.mesh_root} at the origin, samples with a mesh",
            "PA-MPVPE": "all vertices after similarity alignment",
            "F@5": "all vertices after similarity alignment, within 5 mm",
            "F@15": "all vertices after similarity alignment, within 15 mm",
            "PA-MPJPE": f"{len(self.joints)} joints of {self.joint_set} after similarity alignment",
        }.get(metric, f"{len(self.joints)} joints of {self.joint_set}, {origin} at the origin")
        mean = "mean of batch means" if self.per_batch else "mean over samples"
        unit = "0..1" if metric.startswith("F@") else "mm"
        return f"{metric}, {unit}: {self.benchmark} {self.split}; {where}; {self.gender}; {mean}"


_H36M = ("Human3.6M", "protocol 2 (S9, S11)")
_H36M_50 = ("Human3.6M", "protocol 2 (S9, S11), every 50th frame, four cameras")
_PW3D, _SURREAL = ("3DPW", "test"), ("SURREAL", "val")
_H36M_14 = ("Human3.6M's 17 joints, regressed from the mesh", H36M_EVALUATED)
_OWN = "the person's gender"


def _metro(name: str, benchmark: str, split: str, **more: Any) -> EvaluationProtocol:
    joints = ("the 14 common joints, regressed from the mesh", tuple(range(14)), J14_HIPS)
    return EvaluationProtocol(name, benchmark, split, *joints, "h36m pelvis", "neutral body for all samples", **more)


def _hand(name: str, benchmark: str, split: str, metrics: tuple[str, ...], **more: Any) -> EvaluationProtocol:
    joints = ("FreiHAND's 21 joints", tuple(range(21)), (0,))
    return EvaluationProtocol(name, benchmark, split, *joints, "wrist", "right hand", metrics, **more)


def _pose2mesh(
    name: str, where: tuple[str, str], joint_set: str, joints: tuple[int, ...], gender: str, note: str
) -> EvaluationProtocol:
    note = f"ground truth: joints {note}"
    return EvaluationProtocol(name, *where, joint_set, joints, (0,), "smpl pelvis", gender, per_batch=True, note=note)


def _posenet(
    name: str, where: tuple[str, str], joint_set: str, joints: tuple[int, ...], root: int, gender: str
) -> EvaluationProtocol:
    metrics = ("MPJPE", "PA-MPJPE")
    return EvaluationProtocol(name, *where, joint_set, joints, (root,), "", gender, metrics, per_batch=True)


_METRO_LIKE = "as METRO's; the original's own is not known"
_HAND_METRICS = ("PA-MPJPE", "PA-MPVPE", "F@5", "F@15")
_FREIHAND = "scored by the benchmark's server or its eval.py from pred.json (see freihand_submission.py)"
_NO_MESH = "human3.6m/valid.protocol2.yaml; no sample of it has a mesh, so there is no MPVPE"
_COCO19 = "COCO's 17 joints, pelvis and neck, lifted"
_SMPL24 = ("SMPL's 24 joints, regressed from the mesh", tuple(range(24)))
_SURREAL_NOTE = "regressed from the ground truth mesh, not the posed ones"
PROTOCOLS: dict[str, EvaluationProtocol] = {
    p.name: p
    for p in (
        _metro("human36m-fastmetro", *_H36M, unlabelled="metro", note=_NO_MESH),
        _metro("human36m-smpler", *_H36M, unlabelled="smpler", note="the same samples"),
        _metro("3dpw-fastmetro", *_PW3D, unlabelled="metro", note="3dpw/test_has_gender.yaml"),
        _metro("3dpw-smpler", *_PW3D, unlabelled="smpler", note="with its own regressor (J_regressor_3dpw)"),
        _metro("human36m-deformer", *_H36M, note=_METRO_LIKE),
        _metro("3dpw-deformer", *_PW3D, note=_METRO_LIKE),
        _metro("synthetic", "our synthetic bodies", "test", note="the open body, not comparable with SMPL's"),
        _hand("freihand", "FreiHAND", "evaluation, 3960 images", _HAND_METRICS, has_public_gt=False, note=_FREIHAND),
        _hand(
            "synthetic-hand", "our synthetic hands", "test", ("MPJPE", "PA-MPJPE", "MPVPE", "PA-MPVPE", "F@5", "F@15")
        ),
        _pose2mesh("human36m-pose2mesh", _H36M_50, *_H36M_14, "neutral body", "of motion capture, meshes of the fits"),
        _pose2mesh("3dpw-pose2mesh", _PW3D, *_H36M_14, _OWN, "regressed from the ground truth mesh"),
        _pose2mesh("surreal-pose2mesh", _SURREAL, *_SMPL24, _OWN, _SURREAL_NOTE),
        _posenet("human36m-posenet", _H36M_50, "Human3.6M's 17 joints, lifted", H36M_EVALUATED, 0, "neutral body"),
        _posenet("3dpw-posenet", _PW3D, _COCO19, tuple(range(19)), 17, _OWN),
        _posenet("surreal-posenet", _SURREAL, "SMPL's 24 joints, lifted", tuple(range(24)), 0, _OWN),
    )
}


class Evaluator(nn.Module):
    """Accumulates a protocol's metrics over batches; a module, so that its sums move to the device.

    upstream_quirks: count unlabelled samples and batches as the original; else valid samples alone.
    """

    def __init__(self, protocol: EvaluationProtocol, upstream_quirks: bool = True) -> None:
        super().__init__()
        self.protocol = protocol
        per_batch = protocol.per_batch and upstream_quirks
        unlabelled: Unlabelled = protocol.unlabelled if upstream_quirks else "valid"
        makers = {
            "MPJPE": lambda description: MPJPE(description, per_batch),
            "MPVPE": lambda description: MPVPE(description, per_batch),
            "PA-MPJPE": lambda description: PAMPJPE(description, per_batch, unlabelled),
            "PA-MPVPE": lambda description: PAMPJPE(description, per_batch),
            "F@5": lambda description: FScore(description, 0.005),
            "F@15": lambda description: FScore(description, 0.015),
        }
        self._metrics = nn.ModuleDict({name: makers[name](protocol.description(name)) for name in protocol.metrics})

    def update(
        self,
        joints: Tensor,
        gt_joints: Tensor,
        has_joints: Tensor | None = None,
        vertices: Tensor | None = None,
        gt_vertices: Tensor | None = None,
        has_mesh: Tensor | None = None,
    ) -> None:
        """joints (N, K, 3) m, of the protocol's set, any origin; vertices (N, V, 3) m, relative to its `mesh_root`;
        has_joints, has_mesh (N,) bool, None where all samples have the label."""
        chosen, origin = list(self.protocol.joints), list(self.protocol.origin)
        joints, gt_joints = (x - x[:, origin].mean(1, keepdim=True) for x in (joints, gt_joints[..., :3]))
        for name, metric in self.metrics().items():
            if name.endswith("MPJPE"):
                metric.update(joints[:, chosen], gt_joints[:, chosen], has_joints)
            elif vertices is not None and gt_vertices is not None:
                metric.update(vertices, gt_vertices, has_mesh)

    def compute(self) -> dict[str, Tensor]:
        """Metric -> mm (F-scores: 0..1), over all processes; NaN without labelled samples."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # for metrics without labelled samples
            return {name: metric.compute() for name, metric in self.metrics().items()}

    def reset(self) -> None:
        for metric in self.metrics().values():
            metric.reset()

    def metrics(self) -> dict[str, SampleMean]:
        return {name: m for name, m in self._metrics.items() if isinstance(m, SampleMean)}

    def report(self) -> str:
        """One line per metric: its value and protocol."""
        lines = [f"{value.item():8.3f}  {self.protocol.description(name)}" for name, value in self.compute().items()]
        return "\n".join(lines)


def root_relative(vertices: Tensor, row: Tensor) -> Tensor:
    """Vertices (N, V, 3) with a joint at the origin.  row (V,): of the joint in a joint regressor."""
    return vertices - torch.einsum("v,nvc->nc", row.to(vertices), vertices)[:, None]
