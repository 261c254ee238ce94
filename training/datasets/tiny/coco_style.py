"""Tiny MuCo-3DHP and COCO with SMPL fits, in Pose2Mesh's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from training.datasets.tiny.people import CAMERA, SIZE, bodies, save

WEAK = np.array([62.0, 96.0, 80.0])  # scale px/m, tx, ty px of COCO's people


def write_muco(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` images with a second person behind the first, then one with a fit of NaN, and one without a fit."""
    images, annotations, fits = [], [], {}
    for person in bodies(count + 2, seed):
        name = f"unaugmented_set/{person.index:06d}.jpg"
        images.append({
            "id": 50 + person.index, "width": SIZE[0], "height": SIZE[1], "file_name": name, "f": CAMERA[:2].tolist(),
            "c": CAMERA[2:].tolist(),
        })  # fmt: skip
        save(folder / "data" / name, person.jpeg())
        near = person.joints3d("muco21")
        for identity, joints in ((2 * person.index, near + [0.1, 0, 1.5]), (2 * person.index + 1, near)):
            points = joints[:, :2] / joints[:, 2:] * CAMERA[:2] + CAMERA[2:]
            annotations.append({
                "id": identity, "image_id": 50 + person.index, "keypoints_cam": (joints * 1000).tolist(),
                "keypoints_img": points.tolist(), "bbox": person.xywh(),
            })  # fmt: skip
            if person.index != count + 1:
                trans = person.trans if person.index != count else np.full(3, np.nan)
                fits[str(identity)] = {
                    "pose": person.pose.tolist(), "shape": person.betas.tolist(), "trans": trans.tolist(),
                }  # fmt: skip
    (folder / "data" / "MuCo-3DHP.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    (folder / "data" / "smpl_param.json").write_text(json.dumps(fits))
    return {"kind": "muco", "path": str(folder), "body": "open"}


def write_coco(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` people, then a crowd, one without keypoints, one without a fit."""
    images, annotations, fits = [], [], {}
    for person in bodies(count + 3, seed):
        name = f"{person.index:012d}.jpg"
        posed = person.posed.joints("coco17", person.pose, person.betas)
        points = posed[:, :2] * WEAK[0] + WEAK[1:]
        keypoints = np.concatenate([points, np.full((17, 1), 2.0)], 1)
        keypoints[3] = 0  # an ear that was not labelled
        keypoints[4, 2] = 1  # and one that is labelled, but occluded
        extra = person.index - count
        images.append({"id": person.index, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
        box = [*points.min(0), *np.ptp(points, axis=0)]
        annotations.append({
            "id": 900 + person.index, "image_id": person.index, "category_id": 1, "iscrowd": int(extra == 0),
            "num_keypoints": 0 if extra == 1 else 16, "keypoints": keypoints.ravel().tolist(),
            "bbox": np.array(box).tolist(),
        })  # fmt: skip
        if extra != 2:
            fits[str(900 + person.index)] = {
                "smpl_param": {"pose": person.pose.tolist(), "shape": person.betas.tolist()},
                "cam_param": {"s": float(WEAK[0]), "t": WEAK[1:].tolist()},
            }  # fmt: skip
        save(folder / "images" / "train2017" / name, person.jpeg(weak_camera=WEAK))
    (folder / "annotations").mkdir(exist_ok=True)
    layout = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "annotations" / "person_keypoints_train2017.json").write_text(json.dumps(layout))
    (folder / "annotations" / "coco_smplify_train.json").write_text(json.dumps(fits))
    return {"kind": "coco", "path": str(folder), "body": "open"}
