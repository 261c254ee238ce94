"""SPIN's npz files: one layout for Human3.6M, COCO, MPII, LSP, MPI-INF-3DHP and 3DPW.

    imgname (N,), center (N, 2), scale (N,) x 200 px; part (N, 24, 3) annotated px, openpose (N, 25, 3) detected px,
    S (N, 24, 4) m, pose (N, 72), shape (N, 10), has_smpl (N,), gender (N,), as far as the set has them

A record has 49 joints: OpenPose's 25 (zeros where the file has none), then the 24.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.datasets.column_dataset import ColumnDataset, Columns
from training.datasets.image_sources import ImageFile
from training.datasets.record import Record
from training.datasets.tsv import subject_of
from training.datasets.validation import bad_file, gender_of, numbers, require

_SHAPES = {
    "center": (2,), "scale": (), "part": (24, 3), "openpose": (25, 3), "S": (24, 4), "pose": (72,), "shape": (10,),
    "has_smpl": (),
}  # fmt: skip
_NEEDED = ("imgname", "center", "scale")


class SpinNpz(ColumnDataset):
    """One of SPIN's files.

    path: the npz.  images: folder that `imgname` is relative to.  body: for the check of the fits.
    """

    def __init__(self, path: str | Path, images: str | Path, body: str | None = None) -> None:
        self.path, self.images, self.body = Path(path), Path(images), body
        super().__init__(f"spin/{self.path.stem}", self.path, _columns(self.path))

    def subject(self, row: int) -> str:
        return subject_of(str(self.columns["imgname"][row]))

    def source(self, row: int) -> tuple[Path, object]:
        return self.path, row

    def read(self, row: int) -> Record:
        at = {key: column[row] for key, column in self.columns.items()}
        joints2d = joints3d = None
        if "part" in at or "openpose" in at:
            none = {"part": np.zeros((24, 3), np.float32), "openpose": np.zeros((25, 3), np.float32)}
            joints2d = np.concatenate([at.get(key, none[key]) for key in ("openpose", "part")])
        if "S" in at:
            joints3d = np.concatenate([np.zeros((25, 4), np.float32), at["S"]])
        fitted = "pose" in at and "shape" in at and bool(at.get("has_smpl", 1))
        return Record(
            key=str(at["imgname"]), dataset=self.path.stem, joint_set="spin49",
            image=ImageFile(self.images / str(at["imgname"])), center=at["center"], side=200 * float(at["scale"]),
            joints2d=joints2d, joints3d=joints3d, pose=at["pose"] if fitted else None,
            betas=at["shape"] if fitted else None,
            gender=gender_of(at.get("gender", "")), subject=self.subject(row),
        )  # fmt: skip


def _columns(file: Path) -> Columns:
    try:
        with np.load(require(file), allow_pickle=False) as archive:
            content = {key: archive[key] for key in archive.files if key in (*_SHAPES, "imgname", "gender")}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise bad_file(file, f"cannot be read as an npz of numbers and names ({error})") from None
    missing = [key for key in _NEEDED if key not in content]
    if missing:
        raise bad_file(file, f"lacks {', '.join(missing)}")
    count = len(content["imgname"])
    columns: Columns = {"key": content["imgname"], "imgname": content["imgname"]}
    if "gender" in content:
        columns["gender"] = content["gender"]
    for key, shape in _SHAPES.items():
        if key in content:
            if len(content[key]) != count:
                raise bad_file(file, f"has {len(content[key])} rows of {key!r} for {count} images")
            # values are checked per row on reading, so that messages have the row
            if content[key].size != count * int(np.prod(shape, dtype=int)):
                numbers(content, key, (count, *shape), file, "-")
            columns[key] = content[key].reshape(count, *shape).astype(np.float32)
    return columns
