"""FreiHAND in Pose2Mesh's files.

    data/freihand_{train,eval}_coco.json           COCO's layout; images have db_idx
    data/freihand_{train,eval}_data.json           [db_idx]: cam_param {focal, princpt, R, t}, joint_3d (21, 3),
                                                   mano_param {pose 48, shape 10}; of eval: cam_param and scale only
    data/hrnet_output_on_{train,test}set.json      [{image_id, annotation_id, keypoints (21, 3)}]: detected 2D poses

In the order of image ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import BadInput
from training.datasets.column_dataset import (
    ColumnDataset,
    Columns,
    image_entry,
    load_or_build,
    read_coco,
    read_detections,
    stack_columns,
)
from training.datasets.geometry import project, root_to_camera, with_column, xywh_to_xyxy
from training.datasets.image_sources import ImageFile
from training.datasets.record import Record
from training.datasets.validation import ErrorCollector, bad_file, field, numbers, read_json

_DETECTED = {"train": "train", "eval": "test"}
_METRES_END = 20.0  # m, farther than any hand: larger coordinates are in millimetres


class FreiHandJson(ColumnDataset):
    """One split of FreiHAND.  path: the folder of `data`.  split: train or eval.  body: for the check of the fits."""

    def __init__(
        self, path: str | Path, split: str = "train", body: str | None = None, cache: str | None = None
    ) -> None:
        if split not in _DETECTED:
            raise BadInput("unknown_split", f"FreiHAND has no split {split!r}.", "Choose train or eval.")
        self.path, self.body = Path(path), body
        coco, data, detection_file = (self.path / name for name in self.files({"split": split}, detected=True))
        existing_file = detection_file if detection_file.is_file() else None
        files = [coco, data, existing_file]
        columns = load_or_build(cache, files, split, lambda: _columns(coco, data, split, existing_file))
        super().__init__(f"freihand_json/{split}", coco, columns)

    @classmethod
    def files(cls, options: Mapping[str, Any], detected: bool) -> list[str]:
        split = str(options.get("split", "train"))
        names = [f"data/freihand_{split}_{part}.json" for part in ("coco", "data")]
        if detected or split == "eval":  # its ground truth is not public
            names.append(f"data/hrnet_output_on_{_DETECTED.get(split, split)}set.json")
        return names

    def read(self, row: int) -> Record:
        at = {key: column[row] for key, column in self.columns.items()}
        known = "joints" in at
        joints = at["joints"] if known else None
        return Record(
            key=str(at["key"]), dataset="freihand", joint_set="hand21",
            image=ImageFile(self.path / "data" / str(at["image"])),
            image_size=(int(at["size"][0]), int(at["size"][1])), center=np.array([112.0, 112.0], np.float32),
            side=180.0,
            joints2d=with_column(project(joints, at["camera"])) if joints is not None else None,
            joints3d=with_column(joints) if joints is not None else None, detected2d=at.get("detected"),
            pose=root_to_camera(at["pose"], at["R"]) if known else None, betas=at.get("betas"), trans=at.get("t"),
            camera=at["camera"],
        )  # fmt: skip


def _columns(file: Path, data_file: Path, split: str, detection_file: Path | None) -> Columns:
    images, annotations = read_coco(file)
    data = read_json(data_file)
    poses2d = None if detection_file is None else read_detections(detection_file, "image_id", 21)
    rows = []
    problems = ErrorCollector()
    for annotation in annotations:
        with problems:
            where = field(annotation, "id", file, "?")
            image = image_entry(annotation, images, file, where)
            number = str(field(image, "db_idx", file, where))
            own = field(data, number, data_file, "-")
            camera = field(own, "cam_param", data_file, number)
            row = {
                "key": field(image, "id", file, where), "image": field(image, "file_name", file, where),
                "size": np.array([image.get("width", 224), image.get("height", 224)], np.int32),
                "camera": np.concatenate([numbers(camera, k, (2,), data_file, number) for k in ("focal", "princpt")]),
            }  # fmt: skip
            if split == "train":
                if xywh_to_xyxy(numbers(annotation, "bbox", (4,), file, where, np.float64)) is None:
                    continue
                model = field(own, "mano_param", data_file, number)
                joints = numbers(own, "joint_3d", (21, 3), data_file, number)
                row |= {
                    "pose": numbers(model, "pose", (48,), data_file, number),
                    "betas": numbers(model, "shape", (10,), data_file, number),
                    "R": numbers(camera, "R", (3, 3), data_file, number),
                    "t": numbers(camera, "t", (3,), data_file, number),
                    "joints": joints / 1000 if np.abs(joints).max() > _METRES_END else joints,
                }  # fmt: skip
            if poses2d is not None:
                if row["key"] not in poses2d:
                    raise bad_file(detection_file or file, f"has no detection of image {row['key']} of {file.name}")
                row["detected"] = poses2d[row["key"]]
            rows.append(row)
    problems.raise_if_any()
    return stack_columns(rows, lambda r: r["key"], file)
