"""The body's points that correspond to detected keypoints: rigid to one joint each, at rest affine in the betas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.body.joint_sets import BLAZEPOSE33
from backend.body.model import BodyModel

# name: (MediaPipe landmarks whose mean is observed, joint that the point moves with, weight of its reprojection error).
# Origin of the weights here and in BONES: not recorded.
OBSERVED: dict[str, tuple[tuple[str, ...], str, float]] = {
    "nose": (("nose",), "head", 1.0),
    "left_eye": (("left_eye",), "head", 0.5),
    "right_eye": (("right_eye",), "head", 0.5),
    "left_ear": (("left_ear",), "head", 0.5),
    "right_ear": (("right_ear",), "head", 0.5),
    "left_shoulder": (("left_shoulder",), "left_collar", 1.0),
    "right_shoulder": (("right_shoulder",), "right_collar", 1.0),
    "left_elbow": (("left_elbow",), "left_shoulder", 1.2),
    "right_elbow": (("right_elbow",), "right_shoulder", 1.2),
    "left_wrist": (("left_wrist",), "left_elbow", 1.2),
    "right_wrist": (("right_wrist",), "right_elbow", 1.2),
    "left_hand": (("left_pinky", "left_index"), "left_wrist", 0.5),
    "right_hand": (("right_pinky", "right_index"), "right_wrist", 0.5),
    "left_hip": (("left_hip",), "pelvis", 1.0),
    "right_hip": (("right_hip",), "pelvis", 1.0),
    "left_knee": (("left_knee",), "left_hip", 1.2),
    "right_knee": (("right_knee",), "right_hip", 1.2),
    "left_ankle": (("left_ankle",), "left_knee", 1.2),
    "right_ankle": (("right_ankle",), "right_knee", 1.2),
    "left_heel": (("left_heel",), "left_ankle", 0.7),
    "right_heel": (("right_heel",), "right_ankle", 0.7),
    "left_toe": (("left_foot_index",), "left_ankle", 0.7),
    "right_toe": (("right_foot_index",), "right_ankle", 0.7),
}
NAMES = tuple(OBSERVED)
INDEX = {name: k for k, name in enumerate(NAMES)}
WEIGHTS = np.array([weight for _, _, weight in OBSERVED.values()])
SOURCES = [[BLAZEPOSE33.index(name) for name in names] for names, _, _ in OBSERVED.values()]

# (from, to, weight): bones whose directions are taken from the 3D keypoints.  Not their positions: bone lengths differ
# between people, and left from right by up to 20 % in one image.
BONES = tuple(
    [(f"{s}_{a}", f"{s}_{b}", w) for s in ("left", "right") for a, b, w in (
        ("shoulder", "elbow", 1.0), ("elbow", "wrist", 1.0), ("hip", "knee", 1.0), ("knee", "ankle", 1.0),
        ("heel", "toe", 0.6), ("wrist", "hand", 0.3), ("hip", "shoulder", 1.0),
    )]
    + [("left_shoulder", "right_shoulder", 1.0), ("left_hip", "right_hip", 1.0), ("left_ear", "right_ear", 0.7),
       ("left_ear", "nose", 0.7), ("right_ear", "nose", 0.7)]
)  # fmt: skip
BONE_FROM = np.array([INDEX[a] for a, _, _ in BONES])
BONE_TO = np.array([INDEX[b] for _, b, _ in BONES])
BONE_INDEX = {(a, b): k for k, (a, b, _) in enumerate(BONES)}
LEG_BONES = tuple(
    BONE_INDEX[f"{s}_{a}", f"{s}_{b}"] for s in ("left", "right") for a, b in (("hip", "knee"), ("knee", "ankle"))
)
BONE_WEIGHTS = np.array([w for _, _, w in BONES])

TRUNK = [INDEX[f"{s}_{a}"] for s in ("left", "right") for a in ("hip", "shoulder")]
FEET = [INDEX[f"{s}_{a}"] for s in ("left", "right") for a in ("ankle", "heel", "toe")]

_BODY_JOINTS = ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle")


@dataclass(frozen=True)
class Landmarks:
    """K points.  In the rest pose they are at rest + directions @ betas, m; each moves rigidly with its `joint`."""

    rest: np.ndarray  # (K, 3)
    directions: np.ndarray  # (K, 3, B)
    joint: np.ndarray  # (K,)


def body_landmarks(body: BodyModel) -> Landmarks:
    """The observed points of a body with SMPL's 24 joints.

    Points of face, hands and feet are from the body's `blazepose33` regressor in the rest pose; without one, extreme
    vertices of face and feet, and the hand joints.
    """
    template = body.v_template.double().cpu().numpy()
    shapedirs = body.shapedirs.double().cpu().numpy()
    regressor = _regressor(body, template)
    joint = np.array([body.joint_names.index(joint) for _, joint, _ in OBSERVED.values()])
    return Landmarks(regressor @ template, np.einsum("kv,vcb->kcb", regressor, shapedirs), joint)


def blazepose_rows(body: BodyModel) -> np.ndarray | None:
    """(33, V) regressor of MediaPipe's landmarks in the rest pose; None for a body without a `blazepose33` regressor.

    Landmarks that are joints have the joint regressor's rows, as `blazepose33`'s are fitted to posed bodies.
    """
    if "blazepose33" not in body.regressors:
        return None
    rows = body.regressors["blazepose33"].double().cpu().numpy().copy()
    joints = body.joint_regressor.double().cpu().numpy()
    for k, name in enumerate(BLAZEPOSE33):
        if name in body.joint_names:
            rows[k] = joints[body.joint_names.index(name)]
    return rows


def _regressor(body: BodyModel, template: np.ndarray) -> np.ndarray:
    """(K, V) regressor of the observed points."""
    rows = blazepose_rows(body)
    if rows is not None:
        return np.stack([rows[source].mean(0) for source in SOURCES])
    joints = body.joint_regressor.double().cpu().numpy()
    weights = body.weights.double().cpu().numpy()
    regressor = np.zeros((len(NAMES), len(template)))
    for k, name in enumerate(NAMES):
        if name.split("_")[-1] in _BODY_JOINTS:
            regressor[k] = joints[body.joint_names.index(name)]
    for name, vertex in _surface_points(body, template, weights).items():
        regressor[INDEX[name], vertex] = 1.0
    return regressor


def _surface_points(body: BodyModel, template: np.ndarray, weights: np.ndarray) -> dict[str, int]:
    """name -> vertex of face, heels and toes: extreme vertices of each joint's, in the rest pose."""
    names = body.joint_names
    head_joint = (body.joint_regressor.double().cpu().numpy() @ template)[names.index("head")]
    head = np.nonzero(weights[:, names.index("head")] > 0.9)[0]

    def extreme(vertices: np.ndarray, score: np.ndarray) -> int:
        return int(vertices[np.argmax(score[vertices])])

    middle = head[(np.abs(template[head, 0]) < 0.01) & (template[head, 1] > head_joint[1])]
    vertex = {"nose": extreme(middle, template[:, 2])}
    nose = template[vertex["nose"]]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        eye = nose + [sign * 0.032, 0.035, -0.03]  # m; origin not recorded
        vertex[f"{side}_eye"] = extreme(head, -np.linalg.norm(template - eye, axis=1))
        vertex[f"{side}_ear"] = extreme(head, sign * template[:, 0])
        ankle = np.nonzero(weights[:, names.index(f"{side}_ankle")] > 0.5)[0]
        sole = ankle[template[ankle, 1] < template[:, 1].min() + 0.05]
        toes = np.nonzero(weights[:, names.index(f"{side}_foot")] > 0.5)[0]
        vertex[f"{side}_heel"] = extreme(sole, -template[:, 2])
        vertex[f"{side}_toe"] = extreme(toes, template[:, 2])
    return vertex
