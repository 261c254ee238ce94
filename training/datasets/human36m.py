"""Human3.6M in Pose2Mesh's files (from I2L-MeshNet): JSON by subject; motion capture and SMPL fits in the world frame.

    annotations/Human36M_subject{S}_data.json        COCO's layout; image: action_idx, subaction_idx, frame_idx, cam_idx
    annotations/Human36M_subject{S}_camera.json      [cam]: R (3, 3), t (3,) mm, f (2,), c (2,)
    annotations/Human36M_subject{S}_joint_3d.json    [action][subaction][frame]: (17, 3) mm
    annotations/Human36M_subject{S}_smpl_param.json  [action][subaction][frame]: pose (72), shape (10), trans (3) m
    absnet_output_on_testset.json                    {image name: (17, 2)}: 2D poses detected on the test frames
    images/

As Pose2Mesh_RELEASE, commit 202ce98, reads them in data/Human36M.  METRO's Human3.6M is a TSV: see `tsv`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import BadInput
from training.datasets.column_dataset import (
    ColumnDataset,
    Columns,
    image_entry,
    keypoint_array,
    load_or_build,
    plausible_betas,
    read_coco,
    stack_columns,
)  # fmt: skip
from training.datasets.geometry import (
    fit_error_3d,
    project,
    root_to_camera,
    square_box,
    trans_to_camera,
    with_column,
    xywh_to_xyxy,
)  # fmt: skip
from training.datasets.image_sources import ImageFile
from training.datasets.posed_joints import posed_joints
from training.datasets.record import Record
from training.datasets.validation import ErrorCollector, bad_file, bad_row, field, numbers, read_json

PROTOCOL2 = {"train": (1, 5, 6, 7, 8), "test": (9, 11)}
PARTS = ("data", "camera", "joint_3d", "smpl_param")
DETECTED = "absnet_output_on_testset.json"
EVERY = {"train": 5, "test": 50}  # step between the sampled frames, of 50 Hz


class Human36M(ColumnDataset):
    """One split of protocol 2.  path: the folder of `annotations` and `images`.

    subjects, every_frame: other than the split's.  body: for trans, fit errors (mm, against motion capture; Pose2Mesh's
    limit is 25) and the check of the fits.  cache: folder for the parsed annotations.
    """

    def __init__(
        self, path: str | Path, split: str = "train", subjects: Sequence[int] | None = None,
        every_frame: int | None = None, body: str | None = None, cache: str | None = None,
    ) -> None:  # fmt: skip
        if split not in PROTOCOL2:
            raise BadInput("unknown_split", f"Human3.6M has no split {split!r}.", "Choose train or test.")
        self.path, self.split, self.body = Path(path), split, body
        chosen = tuple(int(str(s).lstrip("Ss")) for s in (subjects or PROTOCOL2[split]))
        every = every_frame or EVERY[split]
        files = [self._file(s, part) for s in chosen for part in PARTS]
        detected = self.path / DETECTED
        detected_file = detected if split == "test" and detected.is_file() else None
        columns = load_or_build(
            cache, [*files, detected_file], ("human36m", chosen, every),
            lambda: self._columns(chosen, every, detected_file),
        )  # fmt: skip
        super().__init__(f"human36m/{split}", self.path / "annotations", columns)

    @classmethod
    def files(cls, options: Mapping[str, Any], detected: bool) -> list[str]:
        split = str(options.get("split", "train"))
        names = [_annotations(s, part) for s in PROTOCOL2[split] for part in PARTS]
        return names + [DETECTED] * (detected and split == "test")

    def _file(self, subject: int, part: str) -> Path:
        return self.path / _annotations(subject, part)

    def _columns(self, subjects: Sequence[int], every: int, detected: Path | None) -> Columns:
        rows = [row for subject in subjects for row in self._subject_rows(subject, every)]
        columns = stack_columns(rows, lambda row: row["key"], self.path / "annotations")
        if detected is not None:
            by_name = {str(name).split("/")[-1]: value for name, value in read_json(detected).items()}
            missing = [key for key in columns["key"] if key not in by_name]
            if missing:
                raise bad_file(
                    detected, f"lacks {len(missing):,} of {len(rows):,} test frames, among them {missing[0]}",
                    "It belongs to other frames: use the one published with these annotations.",
                )  # fmt: skip
            columns["detected"] = np.stack([keypoint_array(by_name[k], 17, detected, k) for k in columns["key"]])
        return columns

    def _subject_rows(self, subject: int, every: int) -> list[dict[str, Any]]:
        images, annotations = read_coco(self._file(subject, "data"))
        cameras, joints, fits = (read_json(self._file(subject, p)) for p in ("camera", "joint_3d", "smpl_param"))
        data = self._file(subject, "data")
        ready = {key: _camera(value, self._file(subject, "camera"), key) for key, value in cameras.items()}
        rows = []
        problems = ErrorCollector()
        for annotation in annotations:
            with problems:
                where = annotation.get("id", "?")
                image = image_entry(annotation, images, data, where)
                frame = field(image, "frame_idx", data, where)
                if frame % every:
                    continue
                steps = [str(field(image, key, data, where)) for key in ("action_idx", "subaction_idx")] + [str(frame)]
                fit = _at(fits, steps)
                box = xywh_to_xyxy(numbers(annotation, "bbox", (4,), data, where, np.float64))
                if fit is None or box is None:  # the original also skips frames without a fit
                    continue
                name = field(image, "file_name", data, where)
                position = "/".join(steps)
                world = _at(joints, steps)
                if world is None:
                    raise bad_row(self._file(subject, "joint_3d"), position, "the frame has a fit but no joints")
                fit_file = self._file(subject, "smpl_param")
                camera = field(ready, str(field(image, "cam_idx", data, where)), self._file(subject, "camera"), name)
                rows.append({
                    "key": name.split("/")[-1], "image": name, "subject": subject,
                    "size": np.array([image.get("width", 0), image.get("height", 0)], np.int32), "box": box,
                    "world": numbers({"joints": world}, "joints", (17, 3), self._file(subject, "joint_3d"), position),
                    "pose": numbers(fit, "pose", (72,), fit_file, position),
                    "betas": plausible_betas(numbers(fit, "shape", (10,), fit_file, position)),
                    "trans": numbers(fit, "trans", (3,), fit_file, position),
                    "camera": camera,
                })  # fmt: skip
        problems.raise_if_any()
        return rows

    def subject(self, row: int) -> str:
        return f"S{self.columns['subject'][row]}"

    def read(self, row: int) -> Record:
        at = {key: column[row] for key, column in self.columns.items()}
        rotation, translation = at["camera"][:9].reshape(3, 3), at["camera"][9:12] / 1000
        camera = at["camera"][12:]
        joints = (rotation @ at["world"].T).T / 1000 + translation
        pose = root_to_camera(at["pose"], rotation)
        trans = error = None
        if self.body is not None:
            body = posed_joints(self.body)
            trans = trans_to_camera(at["trans"], rotation, translation, body.rest_root(at["betas"]))
            error = fit_error_3d(joints, body.joints("h36m17", pose, at["betas"]))
        center, side = square_box(at["box"])
        return Record(
            key=str(at["key"]), dataset="human36m", joint_set="h36m17",
            image=ImageFile(self.path / "images" / str(at["image"])),
            image_size=(int(at["size"][0]), int(at["size"][1])), center=center, side=side, box=at["box"],
            joints2d=with_column(project(joints, camera)), joints3d=with_column(joints), detected2d=at.get("detected"),
            pose=pose, betas=at["betas"], trans=trans, camera=camera.astype(np.float32), fit_error=error,
            subject=f"S{at['subject']}",
        )  # fmt: skip


def _annotations(subject: int, part: str) -> str:
    return f"annotations/Human36M_subject{subject}_{part}.json"


def _camera(value: Any, file: Path, key: object) -> np.ndarray:
    """A camera as (16,) float64: R row by row, t mm, f, c px."""
    parts = {"R": (3, 3), "t": (3,), "f": (2,), "c": (2,)}
    return np.concatenate([numbers(value, k, shape, file, key, np.float64).ravel() for k, shape in parts.items()])


def _at(tree: Any, steps: Sequence[str]) -> Any:
    """tree[action][subaction][frame], None where a key is missing."""
    for step in steps:
        tree = tree.get(step) if isinstance(tree, dict) else None
        if tree is None:
            return None
    return tree
