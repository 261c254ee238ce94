"""EFT fits (Joo et al. 2021) to COCO, MPII and LSP-extended images.

    COCO2014-All-ver01.json, MPII_ver01.json, ...   {ver, data: [row]}

A row: parm_pose (24, 3, 3) matrices, parm_shape (10), parm_cam (s, tx, ty), bbox_scale (x 200 px), bbox_center,
imageName, annotId, in some releases gt_keypoint_2d (49, 3) px.

In the box of side 200 bbox_scale, scaled to -1 .. 1: x = s X + tx, as EFT's own viewer draws them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from training.datasets.column_dataset import ColumnDataset, Columns, load_or_build, stack_columns
from training.datasets.image_sources import ImageFile
from training.datasets.record import Record
from training.datasets.validation import ErrorCollector, bad_row, field, numbers, read_json


class Eft(ColumnDataset):
    """One of EFT's files.  path: the JSON file.  images: folder of its images.  body: for the check of the fits."""

    def __init__(self, path: str | Path, images: str | Path, body: str | None = None, cache: str | None = None) -> None:
        self.path, self.images, self.body = Path(path), Path(images), body
        columns = load_or_build(cache, [self.path], "eft", lambda: _columns(self.path))
        super().__init__(f"eft/{self.path.stem}", self.path, columns)

    def read(self, row: int) -> Record:
        at = {key: column[row] for key, column in self.columns.items()}
        scale, tx, ty = at["cam"]
        side = 200 * float(at["scale"])
        weak = np.array([scale, tx, ty], np.float32) * side / 2 + [0, *at["center"]]
        return Record(
            key=str(at["key"]), dataset="eft", joint_set="spin49", image=ImageFile(self.images / str(at["image"])),
            center=at["center"], side=side, joints2d=at.get("joints"), pose=at["pose"], betas=at["betas"],
            weak_camera=weak.astype(np.float32),
        )  # fmt: skip


def _columns(file: Path) -> Columns:
    data = field(read_json(file), "data", file, "-")
    rows = []
    labelled = all("gt_keypoint_2d" in row for row in data)
    problems = ErrorCollector()
    for k, row in enumerate(data):
        with problems:
            matrices = numbers(row, "parm_pose", (24, 3, 3), file, k, np.float64)
            gap = np.abs(matrices @ matrices.transpose(0, 2, 1) - np.eye(3)).max()
            if gap > 0.05 or (np.linalg.det(matrices) < 0).any():
                raise bad_row(file, k, "'parm_pose' has no rotation matrices")
            made = {
                "key": f"{k}", "image": str(field(row, "imageName", file, k)).split("/")[-1],
                "pose": Rotation.from_matrix(matrices).as_rotvec().ravel(),
                "betas": numbers(row, "parm_shape", (10,), file, k),
                "cam": numbers(row, "parm_cam", (3,), file, k), "scale": float(numbers(row, "bbox_scale", (), file, k)),
                "center": numbers(row, "bbox_center", (2,), file, k),
            }  # fmt: skip
            if labelled:
                made["joints"] = numbers(row, "gt_keypoint_2d", (49, 3), file, k)
            rows.append(made)
    problems.raise_if_any()
    return stack_columns(rows, None, file)
