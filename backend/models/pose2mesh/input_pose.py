"""Conversion of detected keypoints to 2D poses in Pose2Mesh's joint sets."""

from __future__ import annotations

import numpy as np

from backend.body.joint_sets import BLAZEPOSE33, COCO19, SMPL24
from backend.errors import BadInput
from backend.models.pose2mesh.joint_sets import POSE_SETS, with_pelvis_and_neck
from backend.structures import DetectedPerson


def pose_of(person: DetectedPerson, pose_set: str) -> np.ndarray:
    """(J, 3) x px, y px, visibility in the order of `pose_set`.

    Joints that the detector lacks are interpolated: the spine between hips and shoulders; the head is extrapolated
    beyond the ears.  Raises BadInput `wrong_keypoints` for keypoint sets that cannot be converted.
    """
    given, keypoints = person.keypoint_set, np.asarray(person.keypoints2d, np.float64)
    if given == pose_set or (given, pose_set) == ("freihand21", "mano"):
        return keypoints
    if pose_set == "coco" and given == "coco17":
        return with_pelvis_and_neck(keypoints)
    if given == "blazepose33" and pose_set in ("coco", "human36", "smpl"):
        points = _named(keypoints)
        if pose_set == "coco":
            return np.stack([points[name] for name in COCO19])
        names = SMPL24 if pose_set == "smpl" else POSE_SETS["human36"].joints
        return np.stack([(_SMPL if pose_set == "smpl" else _HUMAN36).get(n, _same(n))(points) for n in names])
    raise BadInput(
        "wrong_keypoints",
        f"Keypoints of the set {given} cannot be converted to the pose set {pose_set}.",
        f"Give keypoints in the order of {pose_set}, or choose another Pose2Mesh model.",
    )


def _named(keypoints: np.ndarray) -> dict[str, np.ndarray]:
    points = {name: keypoints[k] for k, name in enumerate(BLAZEPOSE33)}

    def middle(a: str, b: str) -> np.ndarray:
        return (points[a] + points[b]) / 2

    points["pelvis"] = middle("left_hip", "right_hip")
    points["neck"] = middle("left_shoulder", "right_shoulder")
    points["ears"] = middle("left_ear", "right_ear")
    for side in ("left", "right"):
        points[f"{side}_hand"] = middle(f"{side}_index", f"{side}_pinky")
    return points


def _same(name: str):  # type: ignore[no-untyped-def]
    return lambda p: p[name]


def _between(a: str, b: str, share: float):  # type: ignore[no-untyped-def]
    """The point a + share (b - a), with the lower visibility of the two."""
    return lambda p: np.append(p[a][:2] + share * (p[b] - p[a])[:2], min(p[a][2], p[b][2]))


# shares: origin not recorded
_HUMAN36 = {"torso": _between("pelvis", "neck", 0.5), "head": _between("neck", "ears", 1.65)}
_SMPL = {
    "spine1": _between("pelvis", "neck", 0.22),
    "spine2": _between("pelvis", "neck", 0.48),
    "spine3": _between("pelvis", "neck", 0.6),
    "left_foot": _same("left_foot_index"),
    "right_foot": _same("right_foot_index"),
    "neck": _between("neck", "ears", 0.15),
    "left_collar": _between("neck", "left_shoulder", 0.45),
    "right_collar": _between("neck", "right_shoulder", 0.45),
    "head": _between("neck", "ears", 0.7),
}
