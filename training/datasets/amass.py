"""AMASS: motion without images, projected by four virtual cameras, as Pose2Mesh trains on it.

    SUBSET/SUBJECT/*_poses.npz   poses (T, 156) of SMPL-H, trans (T, 3), betas (16,), gender, mocap_framerate; z is up

Every 60th frame of CMU, every 10th of MPI_mosh, BMLrub and BMLmovi, every 5th of others, each under the rotations of
Human3.6M's four cameras, ten metres away, f 1500, c 500.  The body is the neutral one; AMASS's trans is not used.
As in Pose2Mesh_RELEASE, commit 202ce98, data/AMASS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.datasets.column_dataset import ColumnDataset, Columns, load_or_build, stack_columns
from training.datasets.geometry import project, root_to_camera, with_column
from training.datasets.posed_joints import posed_joints
from training.datasets.record import Record
from training.datasets.validation import ErrorCollector, bad_file, numbers, require

STEPS = {"cmu": 60, "mpi_mosh": 10, "bmlrub": 10, "bmlmovi": 10}
# World (z up) to camera: the rotations of Human3.6M's four cameras
ROTATIONS = np.array([
    [-0.9153617, 0.40180838, 0.02574755, 0.05154812, 0.18037356, -0.9822465, -0.39931902, -0.89778364, -0.18581952],
    [0.92816836, 0.37215385, 0.00224838, 0.08166409, -0.1977723, -0.9768404, -0.36309022, 0.9068559, -0.2139576],
    [-0.91415495, -0.40277803, -0.04572295, -0.04562341, 0.2143085, -0.97569996, 0.4027893, -0.8898549, -0.21428728],
    [0.91415626, -0.40060705, 0.06190599, -0.05641001, -0.2769532, -0.9592262, 0.40141782, 0.8733905, -0.27577674],
]).reshape(4, 3, 3)  # fmt: skip
TRANSLATION = np.array([0.0, 0.0, 10.0], np.float32)  # m
CAMERA = np.array([1500.0, 1500.0, 500.0, 500.0], np.float32)


class Amass(ColumnDataset):
    """AMASS's motions, projected to 2D.

    path: the folder of the subsets.  subsets: those whose name contains one of these, in any case.

    body: for joints of `joint_set`; None: records have pose, betas and trans only.
    upstream_quirks: use the first 72 numbers of a pose, of which the last 6 are SMPL-H's fingers, not SMPL's hands.
    """

    def __init__(
        self, path: str | Path, subsets: Sequence[str] = ("CMU",), body: str | None = None, joint_set: str = "h36m17",
        upstream_quirks: bool = False, cache: str | None = None,
    ) -> None:  # fmt: skip
        self.path, self.body, self.joint_set = require(Path(path)), body, joint_set
        self.upstream_quirks = upstream_quirks
        chosen = [p for p in sorted(self.path.iterdir()) if any(s.lower() in p.name.lower() for s in subsets)]
        files = [file for folder in chosen for file in sorted(folder.glob("*/*_poses.npz"))]
        if not files:
            raise bad_file(self.path, f"has no SUBSET/SUBJECT/*_poses.npz of {', '.join(subsets)}")
        columns = load_or_build(cache, files, ("amass", upstream_quirks), lambda: self._columns(files))
        super().__init__("amass", self.path, columns)

    @classmethod
    def files(cls, options: Mapping[str, Any], detected: bool) -> list[str]:
        return [f"*{_any_case(name)}*" for name in options.get("subsets", ("CMU",))]

    def __len__(self) -> int:
        return len(self.columns["key"]) * len(ROTATIONS)

    def source(self, row: int) -> tuple[Path, object]:
        frame, view = divmod(row, len(ROTATIONS))
        return self.path / str(self.columns["motion"][frame]), f"{self.columns['key'][frame]}, view {view}"

    def subject(self, row: int) -> str:
        return str(self.columns["motion"][row // len(ROTATIONS)]).rsplit("/", 1)[0]

    def read(self, row: int) -> Record:
        frame, view = divmod(row, len(ROTATIONS))
        pose = root_to_camera(self.columns["pose"][frame], ROTATIONS[view])
        betas = self.columns["betas"][frame]
        joints = None
        if self.body is not None:
            joints = posed_joints(self.body).joints(self.joint_set, pose, betas, TRANSLATION)
        return Record(
            key=f"{self.columns['key'][frame]}@{view}", dataset="amass", joint_set=self.joint_set,
            joints2d=None if joints is None else with_column(project(joints, CAMERA)),
            joints3d=None if joints is None else with_column(joints), image_size=(1001, 1001), pose=pose, betas=betas,
            trans=TRANSLATION.copy(), camera=CAMERA.copy(), subject=self.subject(row),
        )  # fmt: skip

    def _columns(self, files: Sequence[Path]) -> Columns:
        rows: list[dict[str, Any]] = []
        problems = ErrorCollector()
        for file in files:
            with problems:
                rows += self._motion(file)
        problems.raise_if_any()
        return stack_columns(rows, None, self.path)

    def _motion(self, file: Path) -> list[dict[str, Any]]:
        name = file.relative_to(self.path).as_posix()
        try:
            with np.load(file, allow_pickle=False) as archive:
                content = {key: archive[key] for key in ("poses", "betas") if key in archive.files}
        except Exception as error:  # a corrupt archive can raise anything
            raise bad_file(file, f"cannot be read ({error})") from None
        if content.get("poses") is not None and content["poses"].ndim == 2 and content["poses"].shape[1] < 72:
            raise bad_file(file, f"has poses of {content['poses'].shape[1]} numbers, expected SMPL-H's 156")
        step = STEPS.get(name.split("/")[0].lower(), 5)
        content["poses"] = content["poses"][::step] if "poses" in content else None
        poses = numbers(content, "poses", (-1, -1), file, f"every {step}th")[:, :72]
        if not self.upstream_quirks:
            poses = np.concatenate([poses[:, :66], np.zeros((len(poses), 6))], 1)
        betas = numbers(content, "betas", (-1,), file, "-")[:10]
        keys = [f"{name}#{k * step}" for k in range(len(poses))]
        return [{"key": key, "motion": name, "pose": p, "betas": betas} for key, p in zip(keys, poses, strict=True)]


def _any_case(name: str) -> str:
    """A glob pattern of `name` in any case: folders are called `CMU` or `cmu`."""
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in name)
