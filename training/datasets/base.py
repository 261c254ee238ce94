"""The base class of all data sets of records, with the check of a user's copy, and subsets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import BadInput
from training.datasets import validation
from training.datasets.geometry import project, project_weak
from training.datasets.joint_sets import JOINT_SETS, index_map
from training.datasets.posed_joints import PosedJoints, posed_joints
from training.datasets.record import Record

Body = str | Path | Mapping[str, str] | None
# between the error of real fits, 20 to 50 mm, and that of another body's betas or another frame, several hundred
_BODY_LIMIT_MM = 100.0
_REGRESSED = ("smpl24", "h36m17", "coco17", "coco19", "hand21")
_PROJECTION_LIMIT = 0.15  # of the person's size; origin not recorded


class BaseDataset:
    """A benchmark split as records.  Subclasses define `name`, `__len__`, `read(row)` and `files`.

    Cheap to build (indices only), and pickled into loader workers.  official, official_fits: rows of the published
    split, and those with pose and betas, where known.  body: name or file of the body of `pose` and `betas`, or a table
    of them by gender.
    """

    name: str = ""
    official: int | None = None
    official_fits: int | None = None
    body: Body = None

    @classmethod
    def files(cls, options: Mapping[str, Any], detected: bool) -> list[str]:
        """Files below `path` that these options of a run file need: names, or patterns with `*`.

        detected: whether the run's input is detected 2D poses.  Called before anything is opened.
        """
        return ["."]

    def body_for_gender(self, gender: str) -> PosedJoints | None:
        """The body for a gender; the neutral one where the table has none, None where there is no body."""
        if isinstance(self.body, Mapping):
            name = self.body.get(gender, self.body.get("neutral"))
            return None if name is None else posed_joints(name)
        return None if self.body is None else posed_joints(self.body)

    def __len__(self) -> int:
        raise NotImplementedError

    def read(self, row: int) -> Record:
        raise NotImplementedError

    def subject(self, row: int) -> str:
        """The row's subject or sequence, for splits; without reading the labels where possible."""
        return self.read(row).subject

    def source(self, row: int) -> tuple[str | Path, object]:
        """File and row for error messages."""
        return self.name, row

    def problems(self) -> Iterator[str]:
        """Validation problems of the files, apart from those of single rows."""
        yield from ()

    def __getitem__(self, index: int) -> Record:
        """The validated record of a row.  Raises BadInput with file and row where it is corrupt."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.name} has {len(self)} rows, not {index}")
        row = int(index) % len(self)
        return validation.validate_record(self.read(row), *self.source(row))

    def check(self, max_rows: int | None = None) -> list[str]:
        """Validation problems with file and row; reads `max_rows` evenly spread rows (None: all).

        A line that is not an error starts with `note: `.
        """
        problems = [*self.problems(), *validation.count_note(len(self), self.official, self.name)]
        if not len(self):
            return [*problems, f"{self.name} has no rows."]
        count = len(self) if max_rows is None else min(max_rows, len(self))
        records = []
        for row in np.unique(np.linspace(0, len(self) - 1, count).astype(int)):
            try:
                record = self[row]
                if record.image is not None and (max_rows is not None or not _image_exists(record)):
                    record.image.read()
                records.append(record)
            except BadInput as error:
                problems.append(str(error))
        if count == len(self) and self.official_fits is not None:
            fits = sum(record.pose is not None for record in records)
            problems += validation.count_note(fits, self.official_fits, f"{self.name} (rows with a fit)")
        return [*problems, *_consistency_problems(records, self)]


def _image_exists(record: Record) -> bool:
    """Whether the image's file exists, where its source can tell: decoding a full set would take hours."""
    exists = getattr(record.image, "exists", None)
    return exists is None or exists()


def _consistency_problems(records: Sequence[Record], data: BaseDataset) -> Iterator[str]:
    """Problems where 3D, 2D, camera and body do not belong together, by medians over the records."""
    errors_2d: list[float] = []
    fit_mm: list[float] = []
    for record in records:
        if record.joints2d is not None and record.joints3d is not None and record.camera is not None:
            visible = (record.joints2d[:, 2] > 0) & (record.joints3d[:, 3] > 0)
            if visible.any():
                points = project(record.joints3d[visible, :3], record.camera)
                gap = np.linalg.norm(points - record.joints2d[visible, :2], axis=-1)
                errors_2d.append(
                    float(np.median(gap)) / max(float(np.ptp(record.joints2d[visible, :2], axis=0).max()), 1.0)
                )
        body = data.body_for_gender(record.gender)
        if body is not None and record.pose is not None and record.betas is not None:
            try:
                fit_mm.extend(_body_error(record, body))
            except BadInput as error:  # the same for all rows
                note = "note: fits are not compared with a body: " if error.code == "no_regressor" else ""
                yield f"{note}{data.name}: {error}"
                return
    if errors_2d and np.median(errors_2d) > _PROJECTION_LIMIT:
        yield (
            f"{data.name}: 3D joints do not project to the 2D ones (median {np.median(errors_2d):.0%} of the person's "
            "size): cameras and annotations are of different releases, or units are mixed up."
        )
    if fit_mm and np.median(fit_mm) > _BODY_LIMIT_MM:
        yield (
            f"{data.name}: pose and betas on the body {data.body!r} are {np.median(fit_mm):.0f} mm from the annotated "
            "joints (median): the fits belong to another body model. Name the right one in the run's file."
        )


def _body_error(record: Record, body: PosedJoints) -> Iterator[float]:
    """The mean joint error of a record's fit, mm, root-relative; nothing where it has no joints to compare with."""
    kind = JOINT_SETS[record.joint_set]
    assert record.pose is not None and record.betas is not None
    if record.joint_set in _REGRESSED:
        posed, both = body.joints(record.joint_set, record.pose, record.betas), np.ones(len(kind), bool)
    else:
        # official bodies have few regressors: compare the joints in common with Human3.6M's, except its low nose
        source_index = index_map("h36m17", record.joint_set)
        both = (source_index >= 0) & (np.array(kind.names) != "nose")
        posed = body.joints("h36m17", record.pose, record.betas)[source_index]
    if record.joints3d is not None:
        known = (record.joints3d[:, 3] > 0) & both
        if known[kind.root] and known.sum() > 4:
            gap = (record.joints3d[:, :3] - record.joints3d[kind.root, :3]) - (posed - posed[kind.root])
            yield float(np.linalg.norm(gap[known], axis=-1).mean() * 1000)
    elif record.weak_camera is not None and record.joints2d is not None:
        visible = (record.joints2d[:, 2] > 0) & both
        if visible.any():
            gap2d = project_weak(posed, record.weak_camera) - record.joints2d[:, :2]
            yield float(np.linalg.norm(gap2d[visible], axis=-1).mean() / record.weak_camera[0] * 1000)


class Subset(BaseDataset):
    """Some rows of a data set, in the given order."""

    def __init__(self, data: BaseDataset, rows: Sequence[int] | np.ndarray) -> None:
        self.data, self.rows = data, np.asarray(rows, np.int64)
        self.name, self.body = data.name, data.body

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, row: int) -> Record:
        return self.data.read(int(self.rows[row]))

    def subject(self, row: int) -> str:
        return self.data.subject(int(self.rows[row]))

    def source(self, row: int) -> tuple[str | Path, object]:
        return self.data.source(int(self.rows[row]))

    def problems(self) -> Iterator[str]:
        return self.data.problems()


def make_subset(
    data: BaseDataset, first: int | None = None, every: int = 1, subjects: Sequence[str] = ()
) -> BaseDataset:
    """A subset: the rows of `subjects`, of these every n-th, of these the `first`.  Raises BadInput `bad_subset`."""
    if every < 1 or (first is not None and first < 1):
        raise BadInput("bad_subset", f"first={first}, every={every}: both must be at least 1.")
    rows = np.arange(len(data))
    if subjects:
        wanted = set(map(str, subjects))
        rows = np.array([r for r in rows if data.subject(int(r)) in wanted], np.int64)
        if not len(rows):
            known = sorted({data.subject(r) for r in range(min(len(data), 1000))})
            raise BadInput(
                "bad_subset",
                f"{data.name} has no rows of {', '.join(sorted(wanted))}.",
                f"It has, among others: {', '.join(known[:12])}.",
            )
    rows = rows[::every][:first]
    return data if len(rows) == len(data) else Subset(data, rows)
