"""Tiny FreiHAND: its own JSON files, and Pose2Mesh's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from training.datasets.tiny.people import Person, hands, save

_SIZE = (224, 224)


def _intrinsics(person: Person) -> list[list[float]]:
    fx, fy, cx, cy = person.camera.tolist()
    return [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]


def write_freihand(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` annotated hands, images with two of the four backgrounds, and two evaluation images."""
    people = hands(count, seed)
    content = {
        "training_K": [_intrinsics(p) for p in people],
        "training_mano": [[[*p.pose, *p.betas, 112.0, 112.0, 0.03]] for p in people],
        "training_xyz": [p.joints3d("hand21").tolist() for p in people],
        "training_scale": [0.03 for _ in people],
        "evaluation_K": [_intrinsics(p) for p in people[:2]],
        "evaluation_scale": [0.03] * 2,
    }
    for name, value in content.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    for k in range(2 * count):
        save(folder / "training" / "rgb" / f"{k:08d}.jpg", people[k % count].jpeg(_SIZE))
    for k in range(2):
        save(folder / "evaluation" / "rgb" / f"{k:08d}.jpg", people[k].jpeg(_SIZE))
    return {"kind": "freihand", "path": str(folder), "split": "training", "backgrounds": 2, "body": "open_hand"}


def write_freihand_json(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` hands, with ids in descending order, joints in millimetres, and detections half a pixel off."""
    people = hands(count, seed)
    for split, detected in (("train", "train"), ("eval", "test")):
        images, annotations, detections, data = [], [], [], {}
        for person in reversed(people):
            name = f"{split}/rgb/{person.index:08d}.jpg"
            images.append({"id": person.index, "file_name": name, "width": 224, "height": 224, "db_idx": person.index})
            annotations.append({"id": person.index, "image_id": person.index, "bbox": person.xywh()})
            camera: dict[str, Any] = {"focal": person.camera[:2].tolist(), "princpt": person.camera[2:].tolist()}
            if split == "train":
                camera |= {"R": np.eye(3).tolist(), "t": person.trans.tolist()}
                data[str(person.index)] = {
                    "cam_param": camera, "joint_3d": (person.joints3d("hand21") * 1000).tolist(),
                    "mano_param": {"pose": person.pose.tolist(), "shape": person.betas.tolist()},
                }  # fmt: skip
            else:
                data[str(person.index)] = {"cam_param": camera, "scale": 0.03}
            keypoints = (person.joints2d("hand21") + 0.5).tolist()
            detections.append({"image_id": person.index, "annotation_id": person.index, "keypoints": keypoints})
            save(folder / "data" / name, person.jpeg(_SIZE))
        layout = {"images": images, "annotations": annotations}
        (folder / "data" / f"freihand_{split}_coco.json").write_text(json.dumps(layout))
        (folder / "data" / f"freihand_{split}_data.json").write_text(json.dumps(data))
        (folder / "data" / f"hrnet_output_on_{detected}set.json").write_text(json.dumps(detections))
    return {"kind": "freihand_json", "path": str(folder), "split": "train", "body": "open_hand"}
