"""Tiny SURREAL: its own MATLAB files and clips, and Pose2Mesh's JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import scipy.io
from scipy.spatial.transform import Rotation

from training.datasets.joint_sets import JOINT_SETS
from training.datasets.surreal import CAMERA, CAPTURE_TO_WORLD, SIZE, WORLD_TO_CAMERA
from training.datasets.tiny.people import Person, bodies, save

CAM_LOC = np.array([6.7, -0.98, -1.93])  # m, in Blender's world
_MIRROR = JOINT_SETS["smpl24"].mirror


def people_of(count: int, seed: int = 0) -> list[Person]:
    """`count` people seven metres away, where the full body is in SURREAL's image."""
    return [
        Person(p.index, p.body, p.pose, p.betas, p.trans + [0, 0, 3.2], CAMERA.astype(np.float64))
        for p in bodies(count, seed)
    ]


def write_surreal(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """A clip of `count` - 1 frames and a clip of one, whose arrays lack the last axis.

    As in SURREAL, the images show the mirror image of the person in the files.
    """
    people = people_of(count, seed)
    clips = folder / "cmu" / "train" / "run0" / "01_01"
    clips.mkdir(parents=True, exist_ok=True)
    for name, track in (("01_01_c0001", people[:-1]), ("01_01_c0002", people[-1:])):
        zrot = np.linspace(0.3, 2.0, len(track))
        content = {
            "joints2D": np.stack([p.joints2d("smpl24")[_MIRROR].T for p in track], -1),
            "joints3D": np.stack([(p.joints3d("smpl24")[_MIRROR] @ WORLD_TO_CAMERA + CAM_LOC).T for p in track], -1),
            "pose": np.stack([_file_pose(p, z) for p, z in zip(track, zrot, strict=True)], -1),
            "shape": np.stack([p.betas for p in track], -1),
            "camLoc": CAM_LOC[:, None],
            "zrot": zrot[:, None],
            "gender": np.ones((len(track), 1), np.uint8),
        }
        if len(track) == 1:
            content |= {key: content[key][..., 0] for key in ("joints2D", "joints3D", "pose", "shape")}
        scipy.io.savemat(clips / f"{name}_info.mat", content)
        _clip(clips / f"{name}.mp4", [p.image(SIZE) for p in track])
    return {"kind": "surreal", "path": str(folder), "split": "train", "body": "open"}


def _file_pose(person: Person, zrot: float) -> np.ndarray:
    vectors = person.pose.reshape(24, 3)
    mirrored = vectors[_MIRROR] * [1, -1, -1]
    root = Rotation.from_rotvec(vectors[0]).as_matrix()
    around = CAPTURE_TO_WORLD @ Rotation.from_euler("z", zrot).as_matrix()
    mirrored[0] = Rotation.from_matrix(around.T @ WORLD_TO_CAMERA.T @ root @ np.diag([-1.0, 1, 1])).as_rotvec()
    return mirrored.ravel()


def _clip(path: Path, frames: list[np.ndarray]) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = SIZE[0], SIZE[1], "yuv420p"
        stream.bit_rate = 4_000_000
        for pixels in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)


def write_surreal_json(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Train and val of the same people, with ids in descending order and joint_cam in millimetres."""
    (folder / "data").mkdir(exist_ok=True)
    for split in ("train", "val"):
        images, annotations, detections = [], [], []
        for person in reversed(people_of(count, seed)):
            name = f"01_01_c{person.index:04d}.jpg"
            camera = {"focal": CAMERA[:2].tolist(), "princpt": CAMERA[2:].tolist()}
            images.append({"id": person.index, "file_name": name, "width": 320, "height": 240, "cam_param": camera})
            fit = {
                "pose": person.pose.tolist(), "shape": person.betas.tolist(), "trans": person.trans.tolist(),
                "gender": "female",
            }  # fmt: skip
            annotations.append({
                "id": 40 + person.index, "image_id": person.index, "bbox": person.xywh(), "smpl_param": fit,
                "joint_cam": (person.joints3d("smpl24") * 1000).tolist(),
            })  # fmt: skip
            keypoints = (person.joints2d("smpl24") + 0.5).tolist()
            detections.append({"image_id": person.index, "annotation_id": 40 + person.index, "keypoints": keypoints})
            save(folder / "images" / split / name, person.jpeg(SIZE))
        layout = {"images": images, "annotations": annotations}
        (folder / "data" / f"{split}.json").write_text(json.dumps(layout))
        (folder / "data" / f"hrnet_output_on_{split}set.json").write_text(json.dumps(detections))
    return {"kind": "surreal_json", "path": str(folder), "split": "train", "body": "open"}
