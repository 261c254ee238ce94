"""FreiHAND's own files.

    training_{K,mano,xyz}.json      32,560 annotations: K (3, 3), xyz (21, 3) m
                                    and mano (61: pose 48, shape 10, uv_root 2, scale 1)
    training/rgb/%08d.jpg           130,240 images: each annotation under four backgrounds, image mod 32,560
    evaluation_K.json, evaluation/rgb/%08d.jpg   3,960 images without labels

224 x 224 px, right hands, camera frame.  Joints by finger, from the palm to the tip.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.errors import BadInput
from training.datasets.column_dataset import ColumnDataset, Columns, load_or_build, stack_columns
from training.datasets.geometry import project, with_column
from training.datasets.image_sources import ImageFile
from training.datasets.posed_joints import posed_joints
from training.datasets.record import Record
from training.datasets.validation import ErrorCollector, bad_file, numbers, read_json

IMAGES = {"training": 130_240, "evaluation": 3_960}
CENTER, SIDE = 112.0, 180.0  # px: METRO's box, scale 0.9


class FreiHand(ColumnDataset):
    """One split of FreiHAND.

    path: the published folder.  split: training or evaluation.  backgrounds: number of training backgrounds, 1 to 4.

    body: for trans and the check of the fits.
    """

    def __init__(
        self, path: str | Path, split: str = "training", backgrounds: int = 4, body: str | None = None,
        cache: str | None = None,
    ) -> None:  # fmt: skip
        if split not in IMAGES:
            raise BadInput("unknown_split", f"FreiHAND has no split {split!r}.", "Choose training or evaluation.")
        self.path, self.split, self.body = Path(path), split, body
        self.backgrounds = backgrounds if split == "training" else 1
        self.official = IMAGES[split] * self.backgrounds // (4 if split == "training" else 1)
        parts = ("K", "mano", "xyz") if split == "training" else ("K",)
        files = [self.path / f"{split}_{part}.json" for part in parts]
        super().__init__(
            f"freihand/{split}", files[0], load_or_build(cache, files, "freihand", lambda: _columns(files))
        )

    def __len__(self) -> int:
        return len(self.columns["key"]) * self.backgrounds

    def source(self, row: int) -> tuple[Path, object]:
        return self.file, row

    def read(self, row: int) -> Record:
        at = {key: column[row % len(self.columns["key"])] for key, column in self.columns.items()}
        camera = at["K"][[0, 1, 0, 1], [0, 1, 2, 2]]
        known = "xyz" in at
        trans = None
        if known and self.body is not None:
            trans = (at["xyz"][0] - posed_joints(self.body).rest_root(at["betas"])).astype(np.float32)
        return Record(
            key=f"{row:08d}", dataset="freihand", joint_set="hand21",
            image=ImageFile(self.path / self.split / "rgb" / f"{row:08d}.jpg"), image_size=(224, 224),
            center=np.array([CENTER, CENTER], np.float32), side=SIDE,
            joints2d=with_column(project(at["xyz"], camera)) if known else None,
            joints3d=with_column(at["xyz"]) if known else None, pose=at.get("pose"), betas=at.get("betas"), trans=trans,
            camera=camera,
        )  # fmt: skip


def _columns(files: list[Path]) -> Columns:
    content = {file: read_json(file) for file in files}
    counts = {file.name: len(value) for file, value in content.items()}
    if len(set(counts.values())) > 1:
        raise bad_file(files[0].parent, f"has files of different lengths: {counts}")
    rows = []
    problems = ErrorCollector()
    for k in range(len(content[files[0]])):
        with problems:
            row = {"key": f"{k}", "K": numbers(content[files[0]], k, (3, 3), files[0], k)}  # type: ignore[arg-type]
            if len(files) > 1:
                mano = numbers(content[files[1]], k, (61,), files[1], k)  # type: ignore[arg-type]
                row |= {"pose": mano[:48], "betas": mano[48:58]}
                row["xyz"] = numbers(content[files[2]], k, (21, 3), files[2], k)  # type: ignore[arg-type]
            rows.append(row)
    problems.raise_if_any()
    return stack_columns(rows, None, files[0])
