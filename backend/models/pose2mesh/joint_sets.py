"""Pose2Mesh's four joint sets, their graphs, and the normalisation of 2D poses.

Choi, Moon, Lee, "Pose2Mesh", ECCV 2020, section 4 and the released configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from backend.body.joint_sets import COCO17, COCO19, FREIHAND21, H36M17, SMPL24, left_right, mirror_pairs
from backend.errors import BadInput

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PoseSet:
    """Joints and graph edges of a 2D input.  mirrored: left-right pairs (hand: edges between neighbouring fingers)."""

    name: str
    joints: tuple[str, ...]
    root: int
    bones: Pairs
    mirrored: Pairs


def _chain(*nodes: int) -> Pairs:
    return tuple(pairwise(nodes))


HUMAN36 = PoseSet(
    "human36",
    H36M17,
    0,
    (*_chain(0, 7, 8, 9, 10), *_chain(8, 11, 12, 13), *_chain(8, 14, 15, 16), *_chain(0, 1, 2, 3), *_chain(0, 4, 5, 6)),
    mirror_pairs(H36M17),
)  # fmt: skip
COCO = PoseSet(
    "coco",
    COCO19,
    17,
    (
        (1, 2), (0, 1), (0, 2), (2, 4), (1, 3), (6, 8), (8, 10), (5, 7), (7, 9), (12, 14), (14, 16), (11, 13),
        (13, 15), (17, 11), (17, 12), (17, 18), (18, 5), (18, 6), (18, 0),
    ),
    mirror_pairs(COCO19),
)  # fmt: skip
SMPL = PoseSet(
    "smpl",
    SMPL24,
    0,
    (
        *_chain(0, 1, 4, 7, 10), *_chain(0, 2, 5, 8, 11), *_chain(0, 3, 6, 9), *_chain(9, 14, 17, 19, 21, 23),
        *_chain(9, 13, 16, 18, 20, 22), *_chain(9, 12, 15),
    ),
    mirror_pairs(SMPL24),
)  # fmt: skip
MANO = PoseSet(
    "mano",
    FREIHAND21,
    0,
    tuple(bone for k in range(1, 21, 4) for bone in _chain(0, k, k + 1, k + 2, k + 3)),
    tuple((k, k + 4) for row in range(1, 5) for k in range(row, row + 16, 4)),
)
POSE_SETS = {s.name: s for s in (HUMAN36, COCO, SMPL, MANO)}


def joint_graph(pose_set: PoseSet) -> sp.csr_matrix:
    """Adjacency (J, J) float64: 1 for bones, mirrored pairs and the diagonal."""
    count = len(pose_set.joints)
    a, b = np.array([*pose_set.bones, *pose_set.mirrored]).T
    graph = np.eye(count)
    graph[a, b] = graph[b, a] = 1.0
    return sp.csr_matrix(graph)


def with_pelvis_and_neck(coco17: np.ndarray) -> np.ndarray:
    """COCO keypoints (..., 17, C) -> (..., 19, C) with the midpoints of hips and shoulders appended."""
    joints = np.asarray(coco17, np.float64)
    hips, shoulders = left_right(COCO17, "hip", "shoulder")
    pelvis, neck = joints[..., hips, :].mean(-2), joints[..., shoulders, :].mean(-2)
    return np.concatenate([joints, pelvis[..., None, :], neck[..., None, :]], -2)


def normalise_pose(pose: np.ndarray) -> np.ndarray:
    """(..., J, 2) px -> (..., J, 2) float32 with mean 0 and standard deviation 1 over the joints, per axis.

    The original first maps the pose's box into a 288 x 384 crop; the normalisation cancels that.  Raises BadInput
    `flat_pose` where all joints share an x or a y: such a pose has no shape.
    """
    joints = np.asarray(pose, np.float64)
    spread = joints.std(-2, keepdims=True)
    if not np.isfinite(joints).all() or (np.ptp(joints, axis=-2) <= 1.0).any():
        raise BadInput(
            "flat_pose",
            "A 2D pose has no extent in x or y, or NaN or infinite values.",
            "Give every joint, in pixels: Pose2Mesh cannot do without one.",
        )
    return ((joints - joints.mean(-2, keepdims=True)) / spread).astype(np.float32)
