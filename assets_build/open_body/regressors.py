"""Regressors of SMPL's 24 joints and of the keypoint sets of detectors and benchmarks.

Every row is non-negative, sparse, sums to 1, and is the mirror image of its counterpart's.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from assets_build.open_body.shape_space import PELVIS, Population
from backend.body.joint_sets import BLAZEPOSE33, COCO17, H36M17, LSP14, SMPL24, mirror_indices

_NEAREST = 600
_SUM_WEIGHT, _RIDGE = 20.0, 0.02

SETS = {"coco17": COCO17, "h36m17": H36M17, "lsp14": LSP14, "blazepose33": BLAZEPOSE33}
# keypoints that are weighted means of SMPL's joints
_HIPS = {"left_hip": 0.5, "right_hip": 0.5}
_NECK = {"neck": 0.5, "left_shoulder": 0.25, "right_shoulder": 0.25}
_JOINT_COMBINATIONS = {
    "hip_middle": _HIPS,
    "h36m_neck": _NECK,
    "torso": {"spine2": 0.5} | {name: share / 4 for name, share in (_HIPS | _NECK).items()},
}
# names with a set's own meaning; MediaPipe's hips are 0.22 m apart, as this body's joints are
_ALIASES = {
    ("h36m17", "pelvis"): "hip_middle",
    ("h36m17", "neck"): "h36m_neck",
    ("h36m17", "head"): "head_center",
    **{("blazepose33", f"{side}_foot_index"): f"{side}_toe" for side in ("left", "right")},
}


def solve(people: Population, targets: np.ndarray, names: tuple[str, ...], mirror: np.ndarray) -> np.ndarray:
    """(K, V) symmetric rows for targets (N, K, 3) of the population, by non-negative least squares."""
    some = slice(None, None, 8)
    mean, mean_points = people.vertices.mean(0), targets.mean(0)
    rows = fit_rows(mean, mean_points, people.vertices[some], targets[some], _NEAREST)
    return symmetric(rows, names, mirror)


def fit_rows(
    mean: np.ndarray, mean_points: np.ndarray, vertices: np.ndarray, targets: np.ndarray, nearest: int
) -> np.ndarray:
    """(K, V) non-negative rows that map vertices (N, V, 3) to targets (N, K, 3).

    A row uses the `nearest` vertices of the mean body (V, 3) to its point of mean_points (K, 3).
    """
    rows = np.zeros((targets.shape[1], len(mean)))
    for k in range(len(rows)):
        near = np.argsort(np.linalg.norm(mean - mean_points[k], axis=1))[:nearest]
        equations = vertices[:, near].transpose(0, 2, 1).reshape(-1, len(near))
        matrix = np.concatenate([equations, np.full((1, len(near)), _SUM_WEIGHT), _RIDGE * np.eye(len(near))])
        target = np.concatenate([targets[:, k].ravel(), [_SUM_WEIGHT], np.zeros(len(near))])
        rows[k, near] = nnls(matrix, target)[0]
    return rows


def symmetric(rows: np.ndarray, names: tuple[str, ...], mirror: np.ndarray) -> np.ndarray:
    """(K, V) the rows averaged with their mirror images, without small weights, summing to 1."""
    partner = mirror_indices(names)
    rows = (rows + rows[partner][:, mirror]) / 2
    rows[rows < 1e-4] = 0
    return rows / rows.sum(1, keepdims=True)


def keypoint_sets(
    people: Population, joints: np.ndarray, weights: np.ndarray, mirror: np.ndarray
) -> dict[str, np.ndarray]:
    """Regressors of coco17, h36m17, lsp14, blazepose33.  joints: (24, V) the body's joint regressor.

    Rows of joints hold for the unposed body only; `posed_regressors` fits them again in the finished file.
    """
    points = people.vertices.mean(0) + PELVIS
    eyes = solve(people, people.eyes, ("left_eye", "right_eye"), mirror)
    known = {name: joints[k] for k, name in enumerate(SMPL24)}
    known |= _surface(points, weights, eyes)
    known["left_eye"], known["right_eye"] = eyes
    known["head_center"] = np.mean([known["left_ear"], known["right_ear"]], 0)

    def row(label: str, name: str) -> np.ndarray:
        joint_weights = joint_combination(label, name)
        return known[_ALIASES.get((label, name), name)] if joint_weights is None else joint_weights @ joints

    return {
        label: symmetric(np.stack([row(label, name) for name in names]), names, mirror) for label, names in SETS.items()
    }


def joint_combination(label: str, name: str) -> np.ndarray | None:
    """(24,) weights of SMPL's joints that define a keypoint; None for surface points."""
    alias = _ALIASES.get((label, name), name)
    parts = _JOINT_COMBINATIONS.get(alias) or ({alias: 1.0} if alias in SMPL24 else None)
    return np.array([parts.get(joint, 0.0) for joint in SMPL24]) if parts else None


def _surface(points: np.ndarray, weights: np.ndarray, eyes: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of points on face, hands and feet: patches of vertices, located by shape (y up, facing +z)."""
    owner = weights.argmax(1)
    head = np.nonzero(owner == 15)[0]
    eye = eyes @ points  # (2, 3)

    def patch(center: np.ndarray, among: np.ndarray, count: int) -> np.ndarray:
        near = among[np.argsort(np.linalg.norm(points[among] - center, axis=1), kind="stable")[:count]]
        row = np.zeros(len(points))
        row[near] = 1 / count
        return row

    def extreme(among: np.ndarray, direction: tuple[float, float, float]) -> np.ndarray:
        return points[among[np.argmax(points[among] @ np.array(direction))]]

    face = head[(np.abs(points[head, 0]) < 0.012) & (points[head, 1] < eye[:, 1].mean())]
    face = face[points[face, 1] > eye[:, 1].mean() - 0.075]
    nose = extreme(face, (0, 0, 1))
    found = {"nose": patch(nose, head, 4), "head_top": patch(extreme(head, (0, 1, 0)), head, 4)}
    front = head[points[head, 2] > eye[:, 2].mean() - 0.005]
    for k, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
        half = np.nonzero(sign * points[:, 0] > 0)[0]
        for part, offset in (("inner", -0.015), ("outer", 0.017)):
            found[f"{side}_eye_{part}"] = patch(eye[k] + [sign * offset, 0, 0.008], np.intersect1d(front, half), 3)
        found[f"mouth_{side}"] = patch(nose + [sign * 0.026, -0.040, -0.025], np.intersect1d(front, half), 3)
        found[f"{side}_ear"] = patch(extreme(head, (sign, 0.0, 0.0)), np.intersect1d(head, half), 8)
        hand = np.intersect1d(np.nonzero((owner == 20 + k) | (owner == 22 + k))[0], half)
        knuckles = points[owner == 22 + k]
        base = knuckles[np.abs(knuckles[:, 0]) < np.abs(knuckles[:, 0]).min() + 0.02]
        front_z, back_z = base[:, 2].max(), base[:, 2].min()
        middle = base.mean(0)
        found[f"{side}_index"] = patch(np.array([middle[0], middle[1], front_z - 0.012]), hand, 12)
        found[f"{side}_pinky"] = patch(np.array([middle[0], middle[1], back_z + 0.010]), hand, 12)
        found[f"{side}_thumb"] = patch(extreme(hand, (0.0, 0.0, 1.0)) - [sign * 0.015, 0, 0.02], hand, 10)
        foot = np.intersect1d(np.nonzero((owner == 7 + k) | (owner == 10 + k))[0], half)
        sole = foot[points[foot, 1] < points[foot, 1].min() + 0.05]
        found[f"{side}_heel"] = patch(extreme(sole, (0, 0, -1)), foot, 4)
        found[f"{side}_toe"] = patch(extreme(sole, (-0.15 * sign, 0, 1)), foot, 6)
    return found
