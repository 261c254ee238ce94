"""METRO's TSV data sets, on which FastMETRO, SMPLer and our DeFormer are trained.

    X.yaml           img, hw, label, linelist: paths relative to it; `composite: true`: lists of TSVs
    X.img.tsv        key TAB ... TAB base64 JPEG (the last column)
    X.hw.tsv         key TAB [{"height": h, "width": w}], or `h w`
    X.label.tsv      key TAB a JSON list of one dict
    X.linelist.tsv   one row per line; composite: source TAB row
    X.lineidx        byte offset of each row of the TSV of the same name

Label: center [x, y] px, scale = box / 200 px, 2d_joints (24, 3) px and visibility, 3d_joints (24, 4) m and confidence,
pose (72) axis-angle into the camera frame, betas (10), has_2d_joints, has_3d_joints, has_smpl, gender in some.
Hands: 21 joints, pose (48).  Our synthetic sets also have trans (3) m, camera fx fy cx cy px, box x0 y0 x1 y1 px.
As in microsoft/MeshTransformer and postech-ami/FastMETRO.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from training.datasets.base import BaseDataset
from training.datasets.record import Record
from training.datasets.tsv_file import TsvFile, TsvImage, decode_text, key_mismatch, lineidx_path, write_lineidx
from training.datasets.validation import bad_file, bad_row, field, gender_of, numbers, require

__all__ = ["TsvDataset", "TsvFile", "lineidx_path", "subject_of", "write_lineidx"]

# rows with a fit in METRO's Human3.6M training labels (human3.6m/train): within 50 mm of the motion capture joints
H36M_FITS = 305_476


@dataclass
class _Source:
    """The TSV files of one source of a (composite) data set."""

    label: TsvFile
    img: TsvFile | None
    hw: TsvFile | None
    dataset: str


class TsvDataset(BaseDataset):
    """One TSV data set.

    path: a plain or composite yaml.  name: default is the yaml's folder and stem.  body: for `check`.

    upstream_quirks: read 2D joints also where `has_2d_joints` is 0, for the originals' 2D loss.
    """

    def __init__(
        self, path: str | Path, body: str | None = None, upstream_quirks: bool = False, name: str | None = None
    ) -> None:
        self.path = Path(path)
        self.name = name or f"{self.path.parent.name}/{self.path.stem}"
        self.body, self.upstream_quirks = body, upstream_quirks
        if self.path.parent.name == "human3.6m" and self.path.stem.startswith("train"):
            self.official_fits = H36M_FITS
        config = _yaml(self.path)
        self.composite = bool(config.get("composite", False))
        files = {key: self._files(config[key]) for key in ("label", "img", "hw") if config.get(key) is not None}
        if "label" not in files:
            raise bad_file(self.path, "names no `label` file", "METRO's yaml has img, hw, label and linelist.")
        counts = {key: len(value) for key, value in files.items()}
        if len(set(counts.values())) != 1:
            raise bad_file(self.path, f"names different numbers of files: {counts}")
        self.sources = [
            _Source(
                TsvFile(label),
                TsvFile(files["img"][k]) if "img" in files else None,
                TsvFile(files["hw"][k]) if "hw" in files else None,
                label.parent.name,
            )
            for k, label in enumerate(files["label"])
        ]
        self.rows = self._linelist(config.get("linelist"))

    def _files(self, value: Any) -> list[Path]:
        """Paths of a yaml value: a file name, a list of them, or (composite) a file that lists them."""
        folder = self.path.parent
        if self.composite and isinstance(value, str):
            value = require(folder / value).read_text("utf-8").split()
        return [folder / name for name in ([value] if isinstance(value, str) else value)]

    def _linelist(self, value: str | None) -> np.ndarray:
        """(N, 2) int64: source, row."""
        if value is None:
            counts = [len(source.label) for source in self.sources]
            return np.concatenate([np.stack([np.full(n, k), np.arange(n)], 1) for k, n in enumerate(counts)])
        path = require(self.path.parent / value)
        columns = 2 if self.composite else 1
        try:
            rows = np.array(path.read_bytes().split(), np.int64).reshape(-1, columns)
        except ValueError:
            raise bad_file(path, f"does not have {columns} whole numbers per line") from None
        if columns == 1:
            rows = np.concatenate([np.zeros_like(rows), rows], 1)
        if len(rows):
            source_ok = (rows[:, 0] >= 0) & (rows[:, 0] < len(self.sources))
            limits = np.array([len(s.label) for s in self.sources])[np.where(source_ok, rows[:, 0], 0)]
            bad = np.flatnonzero(~(source_ok & (rows[:, 1] >= 0) & (rows[:, 1] < limits)))
            if len(bad):
                what = f"requests row {rows[bad[0], 1]} of source {rows[bad[0], 0]}, which does not exist"
                raise bad_row(path, int(bad[0]), what)
        return rows

    def __len__(self) -> int:
        return len(self.rows)

    def source(self, row: int) -> tuple[Path, int]:
        source_index, line = (int(n) for n in self.rows[row])
        return self.sources[source_index].label.path, line

    def subject(self, row: int) -> str:
        source_index, line = (int(n) for n in self.rows[row])
        return subject_of(decode_text(self.sources[source_index].label.row(line)[0]))

    def read(self, row: int) -> Record:
        source_index, line = (int(n) for n in self.rows[row])
        source = self.sources[source_index]
        path = source.label.path
        columns = source.label.row(line)
        if len(columns) < 2:
            raise bad_row(path, line, f"has {len(columns)} column(s), expected key and label")
        key = decode_text(columns[0])
        label = _label(columns[1], path, line)
        pose, betas = self._fit(label, path, line)
        joints2d, joints3d = self._joints(label, path, line)
        gender, hand = label.get("gender"), pose is not None and len(pose) == 48
        count = next((len(j) for j in (joints2d, joints3d) if j is not None), 21 if hand else 24)
        return Record(
            key=f"{path.name}_{key}" if self.composite else key,
            dataset=source.dataset,
            joint_set="hand21" if count == 21 else "metro24",
            image=None if source.img is None else TsvImage(source.img, line, key),
            image_size=None if source.hw is None else _image_size(source.hw, line, key),
            center=numbers(label, "center", (2,), path, line, np.float64),
            side=200.0 * float(numbers(label, "scale", (), path, line, np.float64)),
            joints2d=joints2d,
            joints3d=joints3d,
            pose=pose,
            betas=betas,
            gender=gender_of(gender[0] if isinstance(gender, list) and gender else gender),
            # in our synthetic sets, not in METRO's
            trans=_if_given(label, "trans", (3,), path, line),
            camera=_if_given(label, "camera", (4,), path, line),
            box=_if_given(label, "box", (4,), path, line),
            subject=subject_of(key),
        )

    def _fit(self, label: dict, path: Path, line: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        if not _flag(label, "has_smpl", path, line):
            return None, None
        pose = numbers(label, "pose", (-1,), path, line)
        if len(pose) not in (72, 48):
            raise bad_row(path, line, f"'pose' has {len(pose)} numbers, expected 72 (SMPL) or 48 (MANO)")
        return pose, numbers(label, "betas", (10,), path, line)

    def _joints(self, label: dict, path: Path, line: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        joints2d = joints3d = None
        if _flag(label, "has_2d_joints", path, line) or (self.upstream_quirks and label.get("2d_joints")):
            joints2d = _points(label, "2d_joints", 3, path, line)
        if _flag(label, "has_3d_joints", path, line):
            joints3d = _points(label, "3d_joints", 4, path, line)
        return joints2d, joints3d

    def problems(self) -> Iterator[str]:
        for source in self.sources:
            for file in (source.label, source.hw, source.img):
                if file is None:
                    continue
                yield from file.problems()
                if len(file) != len(source.label):
                    yield (
                        f"{file.path} has {len(file):,} rows, {source.label.path.name} {len(source.label):,}: "
                        "they are not of one release."
                    )


def _yaml(path: Path) -> dict[str, Any]:
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 1)  # METRO's: `composite: no` is false
    try:
        config = reader.load(require(path).read_text("utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise bad_file(path, f"is not YAML ({error})") from None
    if not isinstance(config, dict):
        raise bad_file(path, "is not a YAML table", "METRO's yaml has img, hw, label and linelist.")
    return config


def _label(data: bytes, path: Path, line: int) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise bad_row(path, line, f"the label is not complete JSON ({error})") from None
    label = content[0] if isinstance(content, list) and content else content
    if not isinstance(label, dict):
        raise bad_row(path, line, "the label is not a list of one dict")
    return label


def _flag(label: dict, key: str, path: Path, line: int) -> bool:
    return bool(np.any(field(label, key, path, line)))


def _points(label: dict, key: str, columns: int, path: Path, line: int) -> np.ndarray:
    """Joints (24 or 21, columns) float32; some packs have a leading axis of 1."""
    value = field(label, key, path, line)
    leading = isinstance(value, list) and len(value) == 1
    values = numbers(label, key, (*([1] if leading else []), -1, columns), path, line)
    points = values.reshape(-1, columns)
    if len(points) not in (24, 21):
        raise bad_row(path, line, f"{key!r} has {len(points)} joints, expected 24 (body) or 21 (hand)")
    return points


def _if_given(label: dict, key: str, shape: tuple[int, ...], path: Path, line: int) -> np.ndarray | None:
    return None if label.get(key) is None else numbers(label, key, shape, path, line)


def _image_size(file: TsvFile, line: int, key: str) -> tuple[int, int]:
    """Width and height, px."""
    columns = file.row(line)
    if decode_text(columns[0]) != key:
        raise key_mismatch(file.path, line, decode_text(columns[0]), key)
    try:
        text = decode_text(columns[1])
        if text.lstrip().startswith(("[", "{")):
            content = json.loads(text)
            size = content[0] if isinstance(content, list) else content
            return int(size["width"]), int(size["height"])
        height, width = (columns[1] if len(columns) == 2 else b" ".join(columns[1:])).split()
        return int(width), int(height)
    except (ValueError, KeyError, IndexError, TypeError):
        raise bad_row(file.path, line, "has no height and width") from None


def subject_of(key: str) -> str:
    """Subject or sequence of a key: `S1_Directions...`, `.../TS1/...`, `imageFiles/SEQUENCE/image_00001.jpg`."""
    parts = key.replace("\\", "/").split("/")
    if len(parts) > 1:
        return parts[-2]
    return parts[0].split("_")[0]
