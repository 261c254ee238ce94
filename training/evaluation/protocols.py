"""Which joints, origin, split, gender and mean a benchmark's numbers are made with: one row per protocol.

Two families of papers report the same benchmarks differently: METRO's (FastMETRO, SMPLer, DeFormer) and Pose2Mesh's.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

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
    """joints: indices, of the set that the module hands over, that count; origin: of the set, the joints whose middle
    both sides are moved to for MPJPE.  mesh_root: what both meshes are moved to for MPVPE, "" where meshes are not
    compared.  unlabelled: of PA-MPJPE, when `upstream_quirks` is on.  per_batch: numbers are means of batches' means,
    when it is on.  has_public_gt: False where only the benchmark's server has the truth.
    """

    name: str
    benchmark: str
    split: str
    joint_set: str
    joints: tuple[int, ...]
    origin: tuple[int, ...]
    mesh_root: MeshRoot
    gender: str
    measures: tuple[str, ...] = ("MPJPE", "PA-MPJPE", "MPVPE")
    unlabelled: Unlabelled = "valid"
    per_batch: bool = False
    has_public_gt: bool = True
    note: str = ""

    def description(self, measure: str) -> str:
        """One line: the measure with everything that it depends on."""
        where = {
            "MPVPE": f"all vertices, {self.mesh_root} at the origin, samples with a mesh",
            "PA-MPVPE": "all vertices after similarity alignment",
            "F@5": "all vertices after similarity alignment, within 5 mm",
            "F@15": "all vertices after similarity alignment, within 15 mm",
            "PA-MPJPE": f"{len(self.joints)} joints of {self.joint_set} after similarity alignment",
        }.get(
            measure,
            f"{len(self.joints)} joints of {self.joint_set}, {self.origin_description()} at the origin",
        )
        mean = "mean of batch means" if self.per_batch else "mean over samples"
        unit = "0..1" if measure.startswith("F@") else "mm"
        return f"{measure}, {unit}: {self.benchmark} {self.split}; {where}; {self.gender}; {mean}"

    def origin_description(self) -> str:
        return f"joint {self.origin[0]}" if len(self.origin) == 1 else f"the middle of joints {self.origin}"


def _metro(name: str, benchmark: str, split: str, **more: object) -> EvaluationProtocol:
    return EvaluationProtocol(
        name,
        benchmark,
        split,
        "the 14 common joints, regressed from the mesh",
        tuple(range(14)),
        J14_HIPS,
        "h36m pelvis",
        "neutral body for everybody",
        **more,  # type: ignore[arg-type]
    )


_H36M = ("Human3.6M", "protocol 2 (S9, S11)")
_HAND = "FreiHAND's 21 joints"
_POSE2MESH_14 = "Human3.6M's 17 joints, regressed from the mesh"

PROTOCOLS: dict[str, EvaluationProtocol] = {
    p.name: p
    for p in (
        _metro(
            "human36m-fastmetro",
            *_H36M,
            unlabelled="metro",
            note="human3.6m/valid.protocol2.yaml; no sample of it has a mesh, so there is no MPVPE",
        ),
        _metro("human36m-smpler", *_H36M, unlabelled="smpler", note="the same samples"),
        _metro("3dpw-fastmetro", "3DPW", "test", unlabelled="metro", note="3dpw/test_has_gender.yaml"),
        _metro(
            "3dpw-smpler",
            "3DPW",
            "test",
            unlabelled="smpler",
            note="a regressor of its own (J_regressor_3dpw)",
        ),
        _metro("human36m-deformer", *_H36M, note="as METRO's; the original's own is not known"),
        _metro("3dpw-deformer", "3DPW", "test", note="as METRO's; the original's own is not known"),
        _metro("synthetic", "our synthetic bodies", "test", note="the open body, not comparable with SMPL's"),
        EvaluationProtocol(
            "freihand",
            "FreiHAND",
            "evaluation, 3960 images",
            _HAND,
            tuple(range(21)),
            (0,),
            "wrist",
            "right hand",
            ("PA-MPJPE", "PA-MPVPE", "F@5", "F@15"),
            has_public_gt=False,
            note="scored by the benchmark's server or its eval.py from pred.json (see freihand_submission.py)",
        ),
        EvaluationProtocol(
            "synthetic-hand",
            "our synthetic hands",
            "test",
            _HAND,
            tuple(range(21)),
            (0,),
            "wrist",
            "right hand",
            ("MPJPE", "PA-MPJPE", "MPVPE", "PA-MPVPE", "F@5", "F@15"),
        ),
        EvaluationProtocol(
            "human36m-pose2mesh",
            "Human3.6M",
            "protocol 2 (S9, S11), every 50th frame, four cameras",
            _POSE2MESH_14,
            H36M_EVALUATED,
            (0,),
            "smpl pelvis",
            "neutral body",
            per_batch=True,
            note="truth: joints of motion capture, meshes of the fits",
        ),
        EvaluationProtocol(
            "3dpw-pose2mesh",
            "3DPW",
            "test",
            _POSE2MESH_14,
            H36M_EVALUATED,
            (0,),
            "smpl pelvis",
            "the person's gender",
            per_batch=True,
            note="truth: joints regressed from the true mesh",
        ),
        EvaluationProtocol(
            "surreal-pose2mesh",
            "SURREAL",
            "val",
            "SMPL's 24 joints, regressed from the mesh",
            tuple(range(24)),
            (0,),
            "smpl pelvis",
            "the person's gender",
            per_batch=True,
            note="truth: joints regressed from the true mesh, not the posed ones",
        ),
        EvaluationProtocol(
            "human36m-posenet",
            "Human3.6M",
            "protocol 2 (S9, S11), every 50th frame, four cameras",
            "Human3.6M's 17 joints, lifted",
            H36M_EVALUATED,
            (0,),
            "",
            "neutral body",
            ("MPJPE", "PA-MPJPE"),
            per_batch=True,
        ),
        EvaluationProtocol(
            "3dpw-posenet",
            "3DPW",
            "test",
            "COCO's 17 joints, pelvis and neck, lifted",
            tuple(range(19)),
            (17,),
            "",
            "the person's gender",
            ("MPJPE", "PA-MPJPE"),
            per_batch=True,
        ),
        EvaluationProtocol(
            "surreal-posenet",
            "SURREAL",
            "val",
            "SMPL's 24 joints, lifted",
            tuple(range(24)),
            (0,),
            "",
            "the person's gender",
            ("MPJPE", "PA-MPJPE"),
            per_batch=True,
        ),
    )
}


class Evaluator(nn.Module):
    """Adds up a protocol's measures over batches; a module, so that its sums follow the device.

    upstream_quirks: count unlabelled samples and batches as the original does; else by valid samples.
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
        self.measures = nn.ModuleDict({name: makers[name](protocol.description(name)) for name in protocol.measures})

    def update(
        self,
        joints: Tensor,
        gt_joints: Tensor,
        has_joints: Tensor | None = None,
        vertices: Tensor | None = None,
        gt_vertices: Tensor | None = None,
        has_mesh: Tensor | None = None,
    ) -> None:
        """joints (N, K, 3) m, of the protocol's set, about any origin; vertices (N, V, 3) m about its `mesh_root`;
        has_joints, has_mesh (N,) bool, None where all have them."""
        chosen, origin = list(self.protocol.joints), list(self.protocol.origin)
        joints, gt_joints = (x - x[:, origin].mean(1, keepdim=True) for x in (joints, gt_joints[..., :3]))
        for name, metric in self.metrics().items():
            if name.endswith("MPJPE"):
                metric.update(joints[:, chosen], gt_joints[:, chosen], has_joints)
            elif vertices is not None and gt_vertices is not None:
                metric.update(vertices, gt_vertices, has_mesh)

    def compute(self) -> dict[str, Tensor]:
        """Measure -> mm (F-scores: 0..1), over all processes; nan where nothing was labelled."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of measures that nothing was labelled for
            return {name: metric.compute() for name, metric in self.metrics().items()}

    def reset(self) -> None:
        for metric in self.metrics().values():
            metric.reset()

    def metrics(self) -> dict[str, SampleMean]:
        return {name: m for name, m in self.measures.items() if isinstance(m, SampleMean)}

    def report(self) -> str:
        """One line per measure: the number and its protocol."""
        lines = [f"{value.item():8.3f}  {self.protocol.description(name)}" for name, value in self.compute().items()]
        return "\n".join(lines)


def root_relative(vertices: Tensor, row: Tensor) -> Tensor:
    """vertices (N, V, 3), row (V,) of a joint regressor -> the same with that joint at the origin."""
    return vertices - torch.einsum("v,nvc->nc", row.to(vertices), vertices)[:, None]
