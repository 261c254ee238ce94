"""SURREAL in Pose2Mesh's files: one frame of each clip, COCO's layout, camera frame.

    data/{train,val}.json                          images: cam_param {focal, princpt}; annotations: bbox,
                                                   joint_cam (24, 3), smpl_param {pose, shape, trans m, gender}
    data/hrnet_output_on_{train,val}set.json       [{image_id, annotation_id, keypoints (24, 2 or more)}]
    images/{train,val}/

In the order of image ids.  The unit of joint_cam is not documented: values beyond 100 are taken for millimetres.
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
    load_or_build,
    read_coco,
    read_detections,
    stack_columns,
)
from training.datasets.geometry import project, square_box, with_column, xywh_to_xyxy
from training.datasets.image_sources import ImageFile
from training.datasets.record import Record
from training.datasets.validation import ErrorCollector, bad_file, field, numbers

_METRES_END = 100.0


class SurrealJson(ColumnDataset):
    """One split of SURREAL.  path: the folder of `data` and `images`.  split: train or val.

    body: a body, or {male: ..., female: ...}, for the check of the fits.
    upstream_quirks: the first row is repeated at the end of the training split.
    """

    def __init__(
        self, path: str | Path, split: str = "train", body: Body = None, upstream_quirks: bool = False,
        cache: str | None = None,
    ) -> None:  # fmt: skip
        if split not in ("train", "val"):
            raise BadInput("unknown_split", f"SURREAL has no split {split!r} here.", "Choose train or val.")
        self.path, self.split, self.body = Path(path), split, body
        file, detection_file = (self.path / name for name in self.files({"split": split}, detected=True))
        existing_file = detection_file if detection_file.is_file() else None
        files = [file, existing_file]
        columns = load_or_build(cache, files, "surreal_json", lambda: _columns(file, existing_file))
        if upstream_quirks and split == "train":
            columns = {key: np.concatenate([column, column[:1]]) for key, column in columns.items()}
        super().__init__(f"surreal_json/{split}", file, columns)

    @classmethod
    def files(cls, options: Mapping[str, Any], detected: bool) -> list[str]:
        split = options.get("split", "train")
        return [f"data/{split}.json"] + [f"data/hrnet_output_on_{split}set.json"] * detected

    def subject(self, row: int) -> str:
        return str(self.columns["image"][row]).split("/")[0]

    def read(self, row: int) -> Record:
        at = {key: column[row] for key, column in self.columns.items()}
        center, side = square_box(at["box"])
        return Record(
            key=str(at["key"]), dataset="surreal", joint_set="smpl24",
            image=ImageFile(self.path / "images" / self.split / str(at["image"])),
            image_size=(int(at["size"][0]), int(at["size"][1])), center=center, side=side, box=at["box"],
            joints2d=with_column(project(at["joints"], at["camera"])), joints3d=with_column(at["joints"]),
            detected2d=at.get("detected"), pose=at["pose"], betas=at["betas"], trans=at["trans"],
            gender=str(at["gender"]), camera=at["camera"], subject=self.subject(row),
        )  # fmt: skip


def _columns(file: Path, detection_file: Path | None) -> Columns:
    images, annotations = read_coco(file)
    poses2d = None if detection_file is None else read_detections(detection_file, "image_id", 24)
    first: dict[Any, dict] = {}
    for annotation in annotations:
        first.setdefault(field(annotation, "image_id", file, annotation.get("id", "?")), annotation)
    rows = []
    problems = ErrorCollector()
    for identity, image in images.items():
        with problems:
            if identity not in first:
                raise bad_file(file, f"has no annotation of image {identity}")
            annotation = first[identity]
            where = f"image {identity}"
            box = xywh_to_xyxy(numbers(annotation, "bbox", (4,), file, where, np.float64))
            if box is None:
                continue
            fit, camera = field(annotation, "smpl_param", file, where), field(image, "cam_param", file, where)
            joints = numbers(annotation, "joint_cam", (24, 3), file, where)
            row = {
                "key": identity, "image": field(image, "file_name", file, where), "box": box,
                "size": np.array([image.get("width", 0), image.get("height", 0)], np.int32),
                "camera": np.concatenate([numbers(camera, key, (2,), file, where) for key in ("focal", "princpt")]),
                "pose": numbers(fit, "pose", (72,), file, where), "betas": numbers(fit, "shape", (10,), file, where),
                "trans": numbers(fit, "trans", (3,), file, where), "gender": str(fit.get("gender", "neutral")),
                "joints": joints / 1000 if np.abs(joints).max() > _METRES_END else joints,
            }  # fmt: skip
            if poses2d is not None:
                if identity not in poses2d:
                    raise bad_file(detection_file or file, f"has no detection of image {identity} of {file.name}")
                row["detected"] = poses2d[identity]
            rows.append(row)
    problems.raise_if_any()
    return stack_columns(rows, lambda r: r["key"], file)
