"""COCO 2017 keypoints with SMPLify fits, in Pose2Mesh's files.

    annotations/person_keypoints_train2017.json   COCO's own
    annotations/coco_smplify_train.json           {annotation id: smpl_param {pose, shape}, cam_param {s, t}}
    images/train2017/                             x px = s X + t

Left out: crowds, people without a keypoint, and those without a fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from training.datasets.column_dataset import (
    ColumnDataset,
    Columns,
    image_entry,
    load_or_build,
    plausible_betas,
    read_coco,
    stack_columns,
)
from training.datasets.geometry import fit_error_2d, project_weak, square_box, xywh_to_xyxy
from training.datasets.image_sources import ImageFile
from training.datasets.posed_joints import posed_joints
from training.datasets.record import Record
from training.datasets.validation import ErrorCollector, field, numbers, read_json

FILES = ("annotations/person_keypoints_train2017.json", "annotations/coco_smplify_train.json")


class Coco(ColumnDataset):
    """COCO's training split with SMPLify fits.  path: the folder of `annotations` and `images`.

    body: for fit errors (px in a 64 x 64 crop; Pose2Mesh's limit is 3) and the check of the fits.
    """

    def __init__(self, path: str | Path, body: str | None = None, cache: str | None = None) -> None:
        self.path, self.body = Path(path), body
        files = [self.path / name for name in FILES]
        super().__init__("coco/train2017", files[0], load_or_build(cache, files, "coco", lambda: _columns(*files)))

    @classmethod
    def files(cls, options: Mapping[str, Any], detected: bool) -> list[str]:
        return list(FILES)

    def read(self, row: int) -> Record:
        at = {key: column[row] for key, column in self.columns.items()}
        joints = at["keypoints"].copy()
        joints[:, 2] = joints[:, 2] > 0  # COCO's 1 is labelled but occluded
        error = None
        if self.body is not None:
            posed = posed_joints(self.body).joints("coco19", at["pose"], at["betas"])
            fitted = project_weak(posed, at["weak"])
            error = fit_error_2d(joints[:, :2], joints[:, 2] > 0, fitted[:17], fitted)
        center, side = square_box(at["box"])
        return Record(
            key=str(at["key"]), dataset="coco", joint_set="coco17",
            image=ImageFile(self.path / "images" / "train2017" / str(at["image"])),
            image_size=(int(at["size"][0]), int(at["size"][1])), center=center, side=side, box=at["box"],
            joints2d=joints, pose=at["pose"], betas=at["betas"], weak_camera=at["weak"], fit_error=error,
        )  # fmt: skip


def _columns(file: Path, fit_file: Path) -> Columns:
    images, annotations = read_coco(file)
    fits = read_json(fit_file)
    rows = []
    problems = ErrorCollector()
    for annotation in annotations:
        with problems:
            where = field(annotation, "id", file, "?")
            fit = fits.get(str(where))
            if annotation.get("iscrowd") or not annotation.get("num_keypoints") or fit is None:
                continue
            image = image_entry(annotation, images, file, where)
            box = xywh_to_xyxy(numbers(annotation, "bbox", (4,), file, where, np.float64))
            if box is None:
                continue
            model, camera = (field(fit, key, fit_file, where) for key in ("smpl_param", "cam_param"))
            weak = [numbers(camera, "s", (1,), fit_file, where), numbers(camera, "t", (2,), fit_file, where)]
            rows.append({
                "key": str(where), "image": field(image, "file_name", file, where),
                "size": np.array([image.get("width", 0), image.get("height", 0)], np.int32), "box": box,
                "keypoints": numbers(annotation, "keypoints", (17, 3), file, where),
                "pose": numbers(model, "pose", (72,), fit_file, where),
                "betas": plausible_betas(numbers(model, "shape", (10,), fit_file, where)), "weak": np.concatenate(weak),
            })  # fmt: skip
    problems.raise_if_any()
    return stack_columns(rows, None, file)
