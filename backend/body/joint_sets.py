"""Names and order of the joint sets as their papers have them, mirror pairs, and indices by name."""

from __future__ import annotations

from collections.abc import Sequence

SMPL24 = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
SMPL24_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")

# SMPL+H (Romero et al. 2017) and SMPL-X (Pavlakos et al. 2019): SMPL's body up to the wrists, then face and fingers
_HANDS30 = tuple(f"{side}_{finger}{k}" for side in ("left", "right") for finger in _FINGERS for k in (1, 2, 3))
SMPLH52 = (*SMPL24[:22], *_HANDS30)
SMPLX55 = (*SMPL24[:22], "jaw", "left_eye_smplhf", "right_eye_smplhf", *_HANDS30)

MANO16 = ("wrist", *(f"{finger}{k}" for finger in _FINGERS for k in (1, 2, 3)))
MANO16_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
# with the fingertips, which are vertices of the model, not joints
MANO21 = (*MANO16, *(f"{finger}_tip" for finger in _FINGERS))
# FreiHAND (Zimmermann et al. 2019), MediaPipe and OpenPose: by finger, from the palm to the tip
FREIHAND21 = (
    "wrist",
    *(f"{finger}{k}" for finger in ("thumb", "index", "middle", "ring", "pinky") for k in (1, 2, 3, 4)),
)

COCO17 = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
# Pose2Mesh's input (Choi et al. 2020): pelvis and neck are the middles of the hips and of the shoulders
COCO19 = (*COCO17, "pelvis", "neck")

H36M17 = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "torso", "neck",
    "nose", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip

LSP14 = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
)  # fmt: skip

# The 14 joints for evaluation on Human3.6M and 3DPW, in LSP's order; neck and head are Human3.6M's
J14 = (*LSP14[:12], "neck", "head")
H36M17_TO_J14 = tuple(H36M17.index(name) for name in J14)

# MediaPipe Pose, "BlazePose GHUM" (Bazarevsky et al. 2020)
BLAZEPOSE33 = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip

JOINT_SETS = {
    "smpl24": SMPL24, "smplh52": SMPLH52, "smplx55": SMPLX55, "mano16": MANO16, "mano21": MANO21,
    "freihand21": FREIHAND21,
    "coco17": COCO17, "h36m17": H36M17, "lsp14": LSP14, "blazepose33": BLAZEPOSE33,
}  # fmt: skip


def indices(joint_set: Sequence[str], *names: str) -> list[int]:
    """The indices of the named joints in a joint set."""
    return [joint_set.index(name) for name in names]


def left_right(joint_set: Sequence[str], *parts: str) -> tuple[tuple[int, int], ...]:
    """(left, right) indices of each part: "hip" and "knee" of `BLAZEPOSE33` are ((23, 24), (25, 26))."""
    return tuple((joint_set.index(f"left_{part}"), joint_set.index(f"right_{part}")) for part in parts)


def mirror_indices(names: Sequence[str]) -> list[int]:
    """The index of each joint's counterpart: `left_x` <-> `right_x`, `x_left` <-> `x_right`, else itself."""

    def other(name: str) -> str:
        for a, b in (("left", "right"), ("right", "left")):
            if name.startswith(a + "_"):
                return b + name[len(a) :]
            if name.endswith("_" + a):
                return name[: -len(a)] + b
        return name

    return [names.index(other(name)) for name in names]


def mirror_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Pairs of left/right counterparts, each once, the lower index first."""
    return tuple((joint, other) for joint, other in enumerate(mirror_indices(names)) if joint < other)


# Indices in `BLAZEPOSE33`: (left, right); of arms and legs, tuples from the trunk outwards
SHOULDERS, HIPS, KNEES = left_right(BLAZEPOSE33, "shoulder", "hip", "knee")
ARMS = tuple(zip(*left_right(BLAZEPOSE33, "elbow", "wrist", "pinky", "index", "thumb"), strict=True))
LEGS = tuple(zip(*left_right(BLAZEPOSE33, "knee", "ankle", "heel", "foot_index"), strict=True))

# whose middle is the origin in which 3D joints are compared
J14_HIPS = tuple(indices(J14, "right_hip", "left_hip"))
