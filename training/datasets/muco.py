"""MuCo-3DHP in Pose2Mesh's files: COCO's layout with 3D in the camera frame, and SMPL fits by annotation id.

    data/MuCo-3DHP.json    images: width, height, file_name, f, c
                           annotations: keypoints_cam (21, 3) mm, keypoints_img (21, 2), bbox
    data/smpl_param.json   {annotation id: pose (72), shape (10), trans (3) m, camera frame}

Used is the person in each image whose root is nearest to the camera.  Skipped: images where that one has no fit, or NaN
in it.
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
from training.datasets.geometry import fit_error_3d, square_box, with_column, xywh_to_xyxy
from training.datasets.image_sources import ImageFile
from training.datasets.joint_sets import JOINT_SETS, index_map
from training.datasets.posed_joints import posed_joints
from training.datasets.record import Record
from training.datasets.validation import ErrorCollector, bad_row, field, numbers, read_json

FILES = ("data/MuCo-3DHP.json", "data/smpl_param.json")
_ROOT = JOINT_SETS["muco21"].root


class MuCo(ColumnDataset):
    """The nearest person of each MuCo image.

    path: the folder of `data`.  body: for fit errors (mm; Pose2Mesh's limit is 45) and the check of the fits.
    """

    def __init__(self, path: str | Path, body: str | None = None, cache: str | None = None) -> None:
        self.path, self.body = Path(path), body
        files = [self.path / name for name in FILES]
        columns = load_or_build(cache, files, "muco", lambda: _columns(*files))
        super().__init__("muco", files[0], columns)

    @classmethod
    def files(cls, options: Mapping[str, Any], detected: bool) -> list[str]:
        return list(FILES)

    def read(self, row: int) -> Record:
        at = {key: column[row] for key, column in self.columns.items()}
        joints = at["joints3d"] / 1000
        error = None
        if self.body is not None:
            # joints whose names both sets have
            source_index = index_map("muco21", "h36m17")
            fitted = posed_joints(self.body).joints("h36m17", at["pose"], at["betas"])
            error = fit_error_3d(joints[source_index[source_index >= 0]], fitted[source_index >= 0])
        center, side = square_box(at["box"])
        return Record(
            key=str(at["key"]), dataset="muco", joint_set="muco21",
            image=ImageFile(self.path / "data" / str(at["image"])),
            image_size=(int(at["size"][0]), int(at["size"][1])), center=center, side=side, box=at["box"],
            joints2d=with_column(at["joints2d"]), joints3d=with_column(joints), pose=at["pose"], betas=at["betas"],
            trans=at["trans"], camera=at["camera"], fit_error=error, subject=_subject(str(at["image"])),
        )  # fmt: skip

    def subject(self, row: int) -> str:
        return _subject(str(self.columns["image"][row]))


def _subject(file: str) -> str:
    return file.rsplit("/", 1)[0] if "/" in file else ""


def _columns(file: Path, fit_file: Path) -> Columns:
    images, annotations = read_coco(file)
    fits = read_json(fit_file)
    nearest: dict[Any, tuple[float, dict]] = {}
    for annotation in annotations:
        where = field(annotation, "id", file, "?")
        image_entry(annotation, images, file, where)
        points = field(annotation, "keypoints_cam", file, where)
        try:
            depth = float(points[_ROOT][2])
        except (TypeError, IndexError, ValueError):
            raise bad_row(file, where, "'keypoints_cam' is not 21 joints of x, y and z") from None
        if annotation["image_id"] not in nearest or depth < nearest[annotation["image_id"]][0]:
            nearest[annotation["image_id"]] = (depth, annotation)
    rows = []
    problems = ErrorCollector()
    for image_id, image in images.items():
        with problems:
            if image_id not in nearest:
                continue
            annotation = nearest[image_id][1]
            where = annotation["id"]
            fit = fits.get(str(where))
            box = xywh_to_xyxy(numbers(annotation, "bbox", (4,), file, where, np.float64))
            if fit is None or box is None or _has_nan(fit, fit_file, where):
                continue
            camera = [numbers(image, key, (2,), file, f"image {image_id}") for key in ("f", "c")]
            rows.append({
                "key": str(where), "image": field(image, "file_name", file, f"image {image_id}"),
                "size": np.array([image.get("width", 0), image.get("height", 0)], np.int32), "box": box,
                "joints3d": numbers(annotation, "keypoints_cam", (21, 3), file, where),
                "joints2d": numbers(annotation, "keypoints_img", (21, 2), file, where),
                "pose": numbers(fit, "pose", (72,), fit_file, where),
                "betas": plausible_betas(numbers(fit, "shape", (10,), fit_file, where)),
                "trans": numbers(fit, "trans", (3,), fit_file, where), "camera": np.concatenate(camera),
            })  # fmt: skip
    problems.raise_if_any()
    return stack_columns(rows, None, file)


def _has_nan(fit: Any, file: Path, where: object) -> bool:
    """Whether a fit has NaN, as some published ones have: they are skipped, not errors."""
    try:
        values = [np.asarray(field(fit, key, file, where), np.float64) for key in ("pose", "shape", "trans")]
        return any(np.isnan(value).any() for value in values)
    except (TypeError, ValueError):
        raise bad_row(file, where, "pose, shape or trans are not numbers") from None
