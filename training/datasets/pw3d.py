"""3DPW's own files.

    sequenceFiles/{train,validation,test}/*.pkl   Python 2 pickles
    imageFiles/SEQUENCE/image_00000.jpg

Lists by person: poses (N, 72), trans (N, 3) m, betas (10; some 300), genders, poses2d (N, 3, 18), jointPositions
(N, 72) m, campose_valid (N,).  Of the sequence: cam_poses (N, 4, 4) world to camera, cam_intrinsics (3, 3).

Skipped: frames with an invalid camera.  The pickles are read by the restricted unpickler, which runs no code in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.body.unpickle import unpickle
from backend.errors import BadInput
from training.datasets.base import Body
from training.datasets.column_dataset import ColumnDataset, Columns, load_or_build, stack_columns
from training.datasets.geometry import (
    project,
    root_to_camera,
    square_box,
    tight_box,
    trans_to_camera,
    with_column,
)
from training.datasets.image_sources import ImageFile
from training.datasets.record import Record
from training.datasets.validation import ErrorCollector, bad_file, gender_of, numbers, require

SPLITS = ("train", "validation", "test")


class Pw3d(ColumnDataset):
    """One split.  path: the folder of `sequenceFiles` and `imageFiles`.

    sequences: only these.  body: a body, or {male: ..., female: ...}; for trans.  Joints are SMPL's 24 and their
    projection; detected2d is OpenPose's 18.
    """

    def __init__(
        self, path: str | Path, split: str = "test", sequences: Sequence[str] = (), body: Body = None,
        cache: str | None = None,
    ) -> None:  # fmt: skip
        if split not in SPLITS:
            raise BadInput("unknown_split", f"3DPW has no split {split!r}.", f"Choose one of: {', '.join(SPLITS)}.")
        self.path, self.body = Path(path), body
        folder = require(self.path / "sequenceFiles" / split)
        files = sorted(p for p in folder.glob("*.pkl") if not sequences or p.stem in sequences)
        if not files:
            raise bad_file(folder, f"has no sequence{'s of that name' if sequences else ''} (*.pkl)")
        columns = load_or_build(cache, files, "pw3d", lambda: _columns(files, folder))
        super().__init__(f"3dpw/{split}", folder, columns)

    def subject(self, row: int) -> str:
        return str(self.columns["sequence"][row])

    def source(self, row: int) -> tuple[Path, object]:
        person, frame = self.columns["person"][row], self.columns["frame"][row]
        return self.file / f"{self.subject(row)}.pkl", f"person {person}, frame {frame}"

    def read(self, row: int) -> Record:
        at = {key: column[row] for key, column in self.columns.items()}
        extrinsic, camera = at["extrinsic"], at["camera"]
        rotation, shift = extrinsic[:3, :3], extrinsic[:3, 3]
        joints = at["joints"] @ rotation.T + shift
        gender = str(at["gender"])
        body = self.body_for_gender(gender)
        root = None if body is None else body.rest_root(at["betas"])
        center, side = square_box(at["box"])
        image = self.path / "imageFiles" / str(at["sequence"]) / f"image_{at['frame']:05d}.jpg"
        return Record(
            key=str(at["key"]), dataset="3dpw", joint_set="smpl24", image=ImageFile(image), center=center, side=side,
            box=at["box"], joints2d=with_column(project(joints, camera)), joints3d=with_column(joints),
            detected2d=at["poses2d"], detected_set="openpose18", pose=root_to_camera(at["pose"], rotation),
            betas=at["betas"], trans=None if root is None else trans_to_camera(at["trans"], rotation, shift, root),
            gender=gender, camera=camera, subject=str(at["sequence"]),
        )  # fmt: skip


def _columns(files: Sequence[Path], folder: Path) -> Columns:
    rows: list[dict[str, Any]] = []
    problems = ErrorCollector()
    for file in files:
        with problems:
            rows += _sequence(file)
    problems.raise_if_any()
    return stack_columns(rows, None, folder)


def _sequence(file: Path) -> list[dict[str, Any]]:
    content = unpickle(require(file).read_bytes(), str(file), "bad_data_file", objects=True)
    if not isinstance(content, dict):
        raise bad_file(file, "is not a table of a sequence")
    sequence = str(content.get("sequence", file.stem))
    extrinsics = numbers(content, "cam_poses", (-1, 4, 4), file, "-")
    intrinsics = numbers(content, "cam_intrinsics", (3, 3), file, "-")
    camera = intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]
    people = content.get("poses")
    if not isinstance(people, list) or not people:
        raise bad_file(file, "has no list of people under 'poses'")
    rows = []
    for person in range(len(people)):
        count = len(extrinsics)
        shapes = {
            "poses": (count, 72), "trans": (count, 3), "poses2d": (count, 3, 18), "jointPositions": (count, 72),
            "campose_valid": (count,), "betas": (-1,),
        }  # fmt: skip
        own = {}
        for key in shapes:
            value = content.get(key)
            if not isinstance(value, list | np.ndarray) or len(value) <= person:
                raise bad_file(file, f"has no {key!r} of person {person}")
            own[key] = value[person]
        arrays = {key: numbers(own, key, shape, file, f"person {person}") for key, shape in shapes.items()}
        genders = content.get("genders") or []
        gender = gender_of(genders[person]) if len(genders) > person else "neutral"
        for frame in np.flatnonzero(arrays["campose_valid"]):
            joints = arrays["jointPositions"][frame].reshape(24, 3)
            points = arrays["poses2d"][frame].T
            box = _box(points, joints, extrinsics[frame], camera)
            if box is None:
                continue
            rows.append({
                "key": f"{sequence}/{person}/{frame:05d}", "sequence": sequence, "person": person, "frame": int(frame),
                "gender": gender, "extrinsic": extrinsics[frame], "camera": camera, "joints": joints,
                "pose": arrays["poses"][frame], "trans": arrays["trans"][frame], "betas": arrays["betas"][:10],
                "poses2d": points, "box": box,
            })  # fmt: skip
    return rows


def _box(points: np.ndarray, joints: np.ndarray, extrinsic: np.ndarray, camera: np.ndarray) -> np.ndarray | None:
    """The tight box of the detected joints; without any, of the projected ground truth joints inside the image."""
    visible = points[points[:, 2] > 0, :2]
    if len(visible) < 2:
        placed = project(joints @ extrinsic[:3, :3].T + extrinsic[:3, 3], camera)
        visible = placed[((placed >= 0) & (placed < 2 * camera[2:])).all(1)]
    return tight_box(visible) if len(visible) > 1 and (np.ptp(visible, axis=0) > 0).all() else None
