"""The joint sets of the benchmarks: names, left/right pairs, roots, evaluated joints, and maps between them.

Names are those of `backend.body.joint_sets`.  Each benchmark defines its own joints, so that those of equal name in
different sets (`neck` of LSP and of Human3.6M) are close, not identical.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from backend.body import joint_sets as known


def _sided(text: str) -> tuple[str, ...]:
    """The names in `text`, with `r_hip` written out as `right_hip`."""
    full = {"r": "right_", "l": "left_"}
    return tuple(full[n[0]] + n[2:] if n[:2] in ("r_", "l_") else n for n in text.split())


# METRO (Lin et al. 2021), the order of SPIN's part annotations; root `pelvis`
METRO24 = _sided(
    "r_ankle r_knee r_hip l_hip l_knee l_ankle r_wrist r_elbow r_shoulder l_shoulder l_elbow l_wrist neck head_top"
    " pelvis thorax spine jaw head nose l_eye r_eye l_ear r_ear"
)
# MuCo-3DHP (Mehta et al. 2018) as in Moon et al. 2019
MUCO21 = _sided(
    "head_top thorax r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist r_hip r_knee r_ankle l_hip l_knee l_ankle"
    " pelvis spine head r_hand l_hand r_toe l_toe"
)
MPII16 = _sided(
    "r_ankle r_knee r_hip l_hip l_knee l_ankle pelvis thorax neck head_top r_wrist r_elbow r_shoulder l_shoulder"
    " l_elbow l_wrist"
)
OPENPOSE18 = _sided(
    "nose neck r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist r_hip r_knee r_ankle l_hip l_knee l_ankle r_eye"
    " l_eye r_ear l_ear"
)
OPENPOSE25 = _sided(
    "nose neck r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist pelvis r_hip r_knee r_ankle l_hip l_knee l_ankle"
    " r_eye l_eye r_ear l_ear l_big_toe l_small_toe l_heel r_big_toe r_small_toe r_heel"
)
# SPIN (Kolotouros et al. 2019): detected by OpenPose, then annotated
SPIN49 = (*(f"op_{name}" for name in OPENPOSE25), *METRO24)


@dataclass(frozen=True)
class JointSet:
    """The names of a joint set, and what follows from them.

    root: index of the joint that 3D joints are relative to.  evaluated: indices of the evaluated joints.
    """

    name: str
    names: tuple[str, ...]
    root: int = 0
    evaluated: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def mirror(self) -> np.ndarray:
        """(K,) int64: the index of each joint's left/right counterpart."""
        plain = tuple(n.removeprefix("op_") for n in self.names)
        half = len(plain) - len(METRO24) if self.name == "spin49" else len(plain)
        first = known.mirror_indices(plain[:half])
        return np.array(first + [half + i for i in known.mirror_indices(plain[half:])])


JOINT_SETS = {
    s.name: s
    for s in (
        JointSet("metro24", METRO24, METRO24.index("pelvis"), (*range(13), 18)),
        JointSet("j14", known.J14, 2),  # errors are relative to the midpoint of joints 2 and 3, the hips
        JointSet("h36m17", known.H36M17, 0, tuple(sorted(known.H36M17_TO_J14))),
        JointSet("coco17", known.COCO17, known.COCO17.index("left_hip")),
        JointSet("coco19", known.COCO19, known.COCO19.index("pelvis")),
        JointSet("smpl24", known.SMPL24),
        JointSet("hand21", known.FREIHAND21),
        JointSet("mano21", known.MANO21),
        JointSet("muco21", MUCO21, MUCO21.index("pelvis")),
        JointSet("mpii16", MPII16, MPII16.index("pelvis")),
        JointSet("lsp14", known.LSP14, known.LSP14.index("right_hip")),
        JointSet("openpose18", OPENPOSE18, OPENPOSE18.index("neck")),
        JointSet("openpose25", OPENPOSE25, OPENPOSE25.index("pelvis")),
        JointSet("spin49", SPIN49, 25 + METRO24.index("pelvis")),
    )
}

# METRO's published maps, by index; Human3.6M's is `known.H36M17_TO_J14`
METRO24_TO_J14 = (*range(13), 18)
# SMPL's 24 joints followed by the 14 of J_regressor_extra -> METRO24
SMPL38_TO_METRO24 = (
    8, 5, 29, 30, 4, 7, 21, 19, 17, 16, 18, 20, 31, 32, 33, 34, 35, 36, 37, 24, 26, 25, 28, 27,
)  # fmt: skip
# MANO's 16 joints and 5 tips (thumb 745, index 317, middle 445, ring 556, pinky 673) by finger -> FreiHAND's order
MANO21_TO_HAND21 = (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20)
# thumb, index, middle, ring, pinky; MANO's own layer has 444 for the middle one
MANO_TIPS = (745, 317, 445, 556, 673)


def index_map(source: str, target: str) -> np.ndarray:
    """(K target,) int64: the index of each target joint in the source set, by name; -1 where it has none."""
    names = JOINT_SETS[source].names
    return np.array([names.index(name) if name in names else -1 for name in JOINT_SETS[target].names])


def convert_joints(joints: np.ndarray, source: str, target: str) -> np.ndarray:
    """Joints (K source, C), confidence last, as (K target, C), by name; rows that the source lacks are zeros."""
    indices = index_map(source, target)
    return np.where((indices >= 0)[:, None], joints[indices], 0).astype(joints.dtype)
