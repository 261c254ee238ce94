"""Agreement of a recovered body with the detected keypoints: reprojection error, and confidence per joint."""

from __future__ import annotations

import numpy as np
import torch

from backend.body.joint_sets import BLAZEPOSE33, COCO17, COCO19, FREIHAND21, H36M17, SMPL24
from backend.body.model import BodyModel
from backend.structures import Camera, DetectedPerson

_SETS = {
    "blazepose33": BLAZEPOSE33,
    "coco17": COCO17,
    "coco": COCO19,
    "human36": H36M17,
    "smpl": SMPL24,
    "freihand21": FREIHAND21,
    "mano": FREIHAND21,
}
_REGRESSORS = {"human36": "h36m17", "coco": "coco17", "mano": "freihand21"}
# origin of both not recorded
_MIN_VISIBILITY = 0.3
_TOLERANCE = 0.04  # reprojection error over the person's size at which the confidence is 1/e


def keypoint_agreement(
    body: BodyModel, vertices: np.ndarray, joints: np.ndarray, person: DetectedPerson, camera: Camera
) -> tuple[np.ndarray, float, float]:
    """One body's confidence (J,) 0..1, and its mean reprojection error in px and relative to its size in the image.

    vertices (V, 3) and joints (J, 3): m, camera frame.  Keypoints that the body does not have are ignored; joints
    without a keypoint get the person's mean confidence.
    """
    names, points, observed = matched_keypoints(body, vertices, joints, person)
    confidence = np.zeros(len(body.joint_names), np.float32)
    if not names:
        return confidence, 0.0, 0.0
    error = np.linalg.norm(camera.project(points) - observed[:, :2], axis=1)
    size = max(float(np.ptp(observed[:, :2], axis=0).max()), 1.0)
    support = observed[:, 2] * np.exp(-((error / size / _TOLERANCE) ** 2))
    confidence[:] = support.mean()
    support_of = dict(zip(names, support, strict=True))
    for j, name in enumerate(body.joint_names):
        confidence[j] = support_of.get(name, confidence[j])
    return confidence, float(error.mean()), float(error.mean() / size)


def matched_keypoints(
    body: BodyModel, vertices: np.ndarray, joints: np.ndarray, person: DetectedPerson
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, points on the body (K, 3) m and detections (K, 3) px and visibility of the visible keypoints it has."""
    names = _SETS.get(person.keypoint_set, ())
    points = body_keypoints(body, person.keypoint_set, vertices, joints)
    visible = [k for k, name in enumerate(names) if name in points and person.keypoints2d[k, 2] > _MIN_VISIBILITY]
    matched = np.array([points[names[k]] for k in visible]).reshape(-1, 3)
    return [names[k] for k in visible], matched, person.keypoints2d[visible]


def body_keypoints(
    body: BodyModel, keypoint_set: str, vertices: np.ndarray, joints: np.ndarray
) -> dict[str, np.ndarray]:
    """Positions (3,) m of a set's keypoints on a posed body: by the set's regressor, else the joints of these names."""
    names = _SETS.get(keypoint_set, ())
    regressor = body.regressors.get(_REGRESSORS.get(keypoint_set, keypoint_set))
    points = dict(zip(body.joint_names, joints, strict=True))
    if regressor is not None:
        with torch.inference_mode():
            keypoints = (regressor.cpu().float() @ torch.as_tensor(vertices, dtype=torch.float32)).numpy()
        points = dict(zip(names, keypoints, strict=False))
    elif keypoint_set in ("coco", "coco17"):
        points["neck"] = (points["left_shoulder"] + points["right_shoulder"]) / 2
    return points
