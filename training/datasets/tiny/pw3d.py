"""Tiny 3DPW: its own pickles, and Pose2Mesh's JSON."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from training.datasets.tiny.people import CAMERA, SIZE, WORLD_TO_CAMERA, WORLD_TRANSLATION, Person, bodies, save

SEQUENCE = "downtown_tiny_00"


def write_pw3d(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """One sequence of the test split: two people in `count` frames, and one more frame with an invalid camera.

    Person 0 is share_betas(bodies[:count]), person 1 share_betas(bodies[count:]).  Betas have 300 numbers, as in some
    of the real files.
    """
    all_rows = bodies(2 * count, seed)
    people = [share_betas(all_rows[:count]), share_betas(all_rows[count:])]
    extrinsic = np.eye(4)
    extrinsic[:3, :3], extrinsic[:3, 3] = WORLD_TO_CAMERA, WORLD_TRANSLATION
    content: dict[str, Any] = {
        "sequence": SEQUENCE, "genders": ["m", "f"], "cam_poses": np.repeat(extrinsic[None], count + 1, 0),
        "cam_intrinsics": np.array([[CAMERA[0], 0, CAMERA[2]], [0, CAMERA[1], CAMERA[3]], [0, 0, 1]]),
        "img_frame_ids": np.arange(count + 1), "poses": [], "trans": [], "poses2d": [], "jointPositions": [],
        "campose_valid": [], "betas": [], "texture_maps": [], "v_template_clothed": [],
    }  # fmt: skip
    for track in people:
        with_invalid_frame = [*track, track[0]]
        world = [p.in_world() for p in with_invalid_frame]
        joints = [(p.joints3d("smpl24") - WORLD_TRANSLATION) @ WORLD_TO_CAMERA for p in with_invalid_frame]
        points = [np.concatenate([p.joints2d("openpose18").T, np.ones((1, 18))]) for p in with_invalid_frame]
        content["poses"].append(np.array([pose for pose, _ in world]))
        content["trans"].append(np.array([trans for _, trans in world]))
        content["jointPositions"].append(np.array(joints).reshape(len(with_invalid_frame), 72))
        content["poses2d"].append(np.array(points))
        content["campose_valid"].append(np.array([1] * count + [0]))
        content["betas"].append(np.concatenate([track[0].betas, np.zeros(290)]))
    save(folder / "sequenceFiles" / "test" / f"{SEQUENCE}.pkl", pickle.dumps(content, protocol=2))
    for k, person in enumerate([*people[0], people[0][0]]):
        save(folder / "imageFiles" / SEQUENCE / f"image_{k:05d}.jpg", person.jpeg())
    return {"kind": "pw3d", "path": str(folder), "split": "test", "body": "open"}


def share_betas(people: list[Person]) -> list[Person]:
    """The people with the betas of the first: in a sequence a person's shape is constant."""
    first = people[0]
    return [Person(p.index, p.body, p.pose, first.betas, p.trans, p.camera) for p in people]


def write_pw3d_json(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Two people per image in the test split, with detections half a pixel off."""
    images, annotations, detections = [], [], []
    for person in bodies(2 * count, seed):
        frame, which = person.index % count, person.index // count
        if which == 0:
            camera = {
                "focal": CAMERA[:2].tolist(),
                "princpt": CAMERA[2:].tolist(),
                "R": np.eye(3).tolist(),
                "t": [0, 0, 0],
            }
            images.append({
                "id": frame, "file_name": f"image_{frame:05d}.jpg", "sequence": SEQUENCE, "frame_idx": frame,
                "width": SIZE[0], "height": SIZE[1], "cam_param": camera,
            })  # fmt: skip
            save(folder / "imageFiles" / SEQUENCE / f"image_{frame:05d}.jpg", person.jpeg())
        identity = 2 * frame + which
        fit = {
            "pose": person.pose.tolist(), "shape": person.betas.tolist(), "trans": person.trans.tolist(),
            "gender": ("male", "female")[which],
        }  # fmt: skip
        annotations.append({
            "id": identity, "image_id": frame, "person_id": which, "bbox": person.xywh(), "smpl_param": fit,
            "openpose_result": np.concatenate([person.joints2d("openpose18"), np.ones((18, 1))], 1).tolist(),
            "joint_cam": person.joints3d("smpl24").tolist(), "joint_img": person.joints2d("smpl24").tolist(),
        })  # fmt: skip
        keypoints = np.concatenate([person.joints2d("coco17") + 0.5, np.full((17, 1), 0.9)], 1)
        detections.append({"annotation_id": identity, "keypoints": keypoints.tolist()})
    annotations.sort(key=lambda a: a["id"])
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "3DPW_latest_test.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    (folder / "data" / "darkpose_3dpw_testset_output.json").write_text(json.dumps(detections))
    return {"kind": "pw3d_json", "path": str(folder), "split": "test", "body": "open"}
