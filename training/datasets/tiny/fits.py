"""Tiny data sets of fits to images: EFT's JSON and UP-3D's numbered files."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from training.datasets.tiny.people import SIZE, Person, bodies, encode, save

EFT_CAMERA = np.array([0.85, 0.05, 0.12])  # s, tx, ty in box coordinates


def write_eft(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` people in COCO images, with boxes of 150 px."""
    rows = []
    for person in bodies(count, seed):
        side, center = 150.0, np.array([95.0, 81.0])
        points = person.posed.joints("spin49", person.pose, person.betas)[:, :2] * EFT_CAMERA[0] + EFT_CAMERA[1:]
        keypoints = np.concatenate([points * side / 2 + center, np.ones((49, 1))], 1)
        name = f"COCO_train2014_{person.index:012d}.jpg"
        rows.append({
            "parm_pose": Rotation.from_rotvec(person.pose.reshape(24, 3)).as_matrix().tolist(),
            "parm_shape": person.betas.tolist(), "parm_cam": EFT_CAMERA.tolist(), "bbox_scale": side / 200,
            "bbox_center": center.tolist(), "gt_keypoint_2d": keypoints.tolist(), "imageName": name,
            "annotId": 77 + person.index, "joint_validity_openpose18": [True] * 18, "smpltype": "smpl",
        })  # fmt: skip
        weak = EFT_CAMERA * side / 2 + [0, *center]
        save(folder / "train2014" / name, person.jpeg(weak_camera=weak))
    (folder / "COCO2014-All-ver01.json").write_text(json.dumps({"ver": 0.1, "data": rows}))
    return {
        "kind": "eft", "path": str(folder / "COCO2014-All-ver01.json"), "images": str(folder / "train2014"),
        "body": "open",
    }  # fmt: skip


def write_up3d(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` people, drawn with SMPLify's camera, whose principal point is the image's centre."""
    middle = np.array([260.0, 260.0, SIZE[0] / 2, SIZE[1] / 2])
    for person in bodies(count, seed, middle):
        stem = f"{person.index:05d}"
        joints = np.concatenate([person.joints2d("lsp14").T, np.ones((1, 14))])
        buffer = io.BytesIO()
        np.save(buffer, joints)
        save(folder / f"{stem}_joints.npy", buffer.getvalue())
        trans = np.array([0.01, -0.02, 0.03])  # the file splits the translation into two parts
        fit = {
            "pose": person.pose, "betas": person.betas, "trans": trans, "rt": np.zeros(3), "t": person.trans - trans,
            "f": 260.0,
        }  # fmt: skip
        save(folder / f"{stem}_body.pkl", pickle.dumps(fit, protocol=2))
        save(folder / f"{stem}_image.png", encode(person.image(), ".png"))
        save(folder / f"{stem}_render_light.png", encode(_render(person), ".png"))
    for split in ("trainval", "test"):
        (folder / f"{split}.txt").write_text("".join(f"/{k:05d}_image.png\n" for k in range(count)))
    return {"kind": "up3d", "path": str(folder), "body": "open"}


def _render(person: Person) -> np.ndarray:
    """The joints' hull on white, where the real file has the body."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 255, np.uint8)
    points = person.joints2d("smpl24").round().astype(np.int32)
    cv2.fillConvexPoly(pixels, cv2.convexHull(points), (150, 160, 180))
    return pixels
