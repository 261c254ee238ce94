"""3DPW in Pose2Mesh's files: COCO's layout, in the camera frame, metres.

    data/3DPW_latest_{train,validation,test}.json   images: sequence, file_name, cam_param {focal, princpt, R, t}
                                                    annotations: person_id, smpl_param {pose, shape, trans, gender},
                                                    joint_cam (24, 3) m, joint_img (24, 2), bbox
    data/darkpose_3dpw_{split}set_output.json       [{annotation_id, keypoints (17, 3)}]: detected 2D poses
    imageFiles/SEQUENCE/

In the order of (person, image), as in the original.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import BadInput
from training.datasets.base import Body
from training.datasets.column_dataset import (
    ColumnDataset,
    Columns,
    image_entry,
    load_or_build,
    read_coco,
    read_detections,
    stack_columns,
)
from training.datasets.geometry import project, square_box, with_column, xywh_to_xyxy
from training.datasets.image_sources import ImageFile
from training.datasets.record import Record
from training.datasets.validation import ErrorCollector, bad_file, field, numbers

SPLITS = ("train", "validation", "test")


class Pw3dJson(ColumnDataset):
    """One split.  path: the folder of `data` and `imageFiles`.  body: a body, or {male: ..., female: ...}.

    Records have detected2d (COCO's 17) where the file of detections exists.
    """

    def __init__(self, path: str | Path, split: str = "test", body: Body = None, cache: str | None = None) -> None:
        if split not in SPLITS:
            raise BadInput("unknown_split", f"3DPW has no split {split!r}.", f"Choose one of: {', '.join(SPLITS)}.")
        self.path, self.body = Path(path), body
        file, detection_file = (self.path / name for name in self.files({"split": split}, detected=True))
        existing_file = detection_file if detection_file.is_file() else None
        files = [file, existing_file]
        columns = load_or_build(cache, files, "pw3d_json", lambda: _columns(file, existing_file))
        super().__init__(f"3dpw_json/{split}", file, columns)

    @classmethod
    def files(cls, options: Mapping[str, Any], detected: bool) -> list[str]:
        split = options.get("split", "test")
        detection_file = f"data/darkpose_3dpw_{split}set_output.json"
        return [f"data/3DPW_latest_{split}.json"] + [detection_file] * detected

    def subject(self, row: int) -> str:
        return str(self.columns["sequence"][row])

    def read(self, row: int) -> Record:
        at = {key: column[row] for key, column in self.columns.items()}
        center, side = square_box(at["box"])
        has_joints = "joints" in at
        joints2d = with_column(project(at["joints"], at["camera"])) if has_joints else None
        return Record(
            key=str(at["key"]), dataset="3dpw", joint_set="smpl24",
            image=ImageFile(self.path / "imageFiles" / str(at["sequence"]) / str(at["image"])),
            image_size=(int(at["size"][0]), int(at["size"][1])), center=center, side=side, box=at["box"],
            joints2d=joints2d, joints3d=with_column(at["joints"]) if has_joints else None,
            detected2d=at.get("detected"), detected_set="coco17" if "detected" in at else None, pose=at["pose"],
            betas=at["betas"], trans=at["trans"], gender=str(at["gender"]), camera=at["camera"],
            subject=str(at["sequence"]),
        )  # fmt: skip


def _columns(file: Path, detection_file: Path | None) -> Columns:
    images, annotations = read_coco(file)
    poses2d = None if detection_file is None else read_detections(detection_file, "annotation_id", 17)
    joined = any("joint_cam" in annotation for annotation in annotations)
    rows = []
    problems = ErrorCollector()
    for annotation in annotations:
        with problems:
            where = field(annotation, "id", file, "?")
            image = image_entry(annotation, images, file, where)
            box = xywh_to_xyxy(numbers(annotation, "bbox", (4,), file, where, np.float64))
            if box is None:
                continue
            camera, fit = field(image, "cam_param", file, where), field(annotation, "smpl_param", file, where)
            row = {
                "key": str(where), "person": field(annotation, "person_id", file, where),
                "sequence": field(image, "sequence", file, where), "image": field(image, "file_name", file, where),
                "size": np.array([image.get("width", 0), image.get("height", 0)], np.int32), "box": box,
                "camera": np.concatenate([numbers(camera, key, (2,), file, where) for key in ("focal", "princpt")]),
                "pose": numbers(fit, "pose", (72,), file, where),
                "betas": numbers(fit, "shape", (-1,), file, where)[:10],
                "trans": numbers(fit, "trans", (3,), file, where), "gender": str(fit.get("gender", "neutral")),
            }  # fmt: skip
            if joined:
                row["joints"] = numbers(annotation, "joint_cam", (24, 3), file, where)
            if poses2d is not None:
                if where not in poses2d:
                    hint = "Both files must be of one release: users report changed 3DPW files (Pose2Mesh, issue 63)."
                    raise bad_file(
                        detection_file or file, f"has no detection of annotation {where} of {file.name}", hint
                    )
                row["detected"] = poses2d[where]
            rows.append(row)
    problems.raise_if_any()
    return stack_columns(rows, lambda r: (r["person"], r["sequence"], r["image"]), file)
