"""SURREAL's own files: short rendered clips, each with a MATLAB file.

    cmu/{train,val,test}/run{0,1,2}/SEQUENCE/*_info.mat
    cmu/{train,val,test}/run{0,1,2}/SEQUENCE/*.mp4         320 x 240

joints2D (2, 24, T) px, joints3D (3, 24, T) m in Blender's world, pose (72, T), shape (10, T), camLoc (3, 1) m, zrot
(T, 1), gender (T, 1).

Arrays of a clip of one frame lack the last axis.  The root rotation is that of motion capture with z up; it is followed
by a rotation by zrot about z, and one to the world's up, -y.  The camera looks along -x, f 600, c (160, 120), and
MIRRORS: its published matrix has determinant -1, so that left limbs appear right, known as SURREAL's flipped names.  A
record describes the image: left and right joints swapped, and the mirrored pose (SURREAL's 3Dto2D and smpl_relations).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from scipy.spatial.transform import Rotation

from backend.errors import BadInput
from training.datasets.base import Body
from training.datasets.column_dataset import ColumnDataset, Columns, load_or_build, stack_columns
from training.datasets.geometry import square_box, tight_box, with_column
from training.datasets.image_sources import VideoFrame
from training.datasets.joint_sets import JOINT_SETS
from training.datasets.record import Record
from training.datasets.validation import bad_file, bad_row, numbers, require

CAMERA = np.array([600.0, 600.0, 160.0, 120.0], np.float32)
SIZE = (320, 240)
# Blender's world to the camera's axes, as published; a reflection
WORLD_TO_CAMERA = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
CAPTURE_TO_WORLD = Rotation.from_euler("x", 90, degrees=True).as_matrix()
_MIRROR = JOINT_SETS["smpl24"].mirror
_REFLECT_X = np.diag([-1.0, 1.0, 1.0])  # mirrors the body frame, whose left is +x
_FIELDS = ("joints2D", "joints3D", "pose", "shape", "camLoc", "zrot", "gender")


class Surreal(ColumnDataset):
    """One split.  path: the folder of `cmu`.  runs: of 0, 1, 2.  every_frame: step between the frames of a clip.

    body: a body, or {male: ..., female: ...}; for trans.
    """

    def __init__(
        self, path: str | Path, split: str = "train", runs: Sequence[int] = (0, 1, 2), every_frame: int = 1,
        body: Body = None, cache: str | None = None,
    ) -> None:  # fmt: skip
        if split not in ("train", "val", "test"):
            raise BadInput("unknown_split", f"SURREAL has no split {split!r}.", "Choose train, val or test.")
        self.path, self.body = Path(path) / "cmu" / split, body
        require(self.path)
        files = [file for run in runs for file in sorted((self.path / f"run{run}").glob("*/*_info.mat"))]
        if not files:
            raise bad_file(self.path, "has no run*/SEQUENCE/*_info.mat")
        columns = load_or_build(cache, files, ("surreal", every_frame), lambda: _columns(files, self.path, every_frame))
        super().__init__(f"surreal/{split}", self.path, columns)

    def subject(self, row: int) -> str:
        return str(self.columns["clip"][row]).split("/")[-2]

    def source(self, row: int) -> tuple[Path, object]:
        return self.path / str(self.columns["clip"][row]), f"frame {self.columns['frame'][row]}"

    def read(self, row: int) -> Record:
        file, frame = self.path / str(self.columns["clip"][row]), int(self.columns["frame"][row])
        clip = _clip(file)
        at = {key: clip[key][..., frame] for key in ("joints2D", "joints3D", "pose", "shape", "zrot")}
        for key, value in at.items():
            if not np.isfinite(value).all():
                raise bad_row(file, f"frame {frame}", f"{key!r} contains NaN or infinite values")
        pose = mirrored_to_camera(at["pose"], float(at["zrot"]))
        joints = ((at["joints3D"].T - clip["camLoc"]) @ WORLD_TO_CAMERA.T)[_MIRROR]
        betas = at["shape"].astype(np.float32)
        body = self.body_for_gender(clip["gender"])
        points = at["joints2D"].T[_MIRROR]
        center, side = square_box(tight_box(points))
        return Record(
            key=str(self.columns["key"][row]), dataset="surreal", joint_set="smpl24",
            image=VideoFrame(file.with_name(file.name.replace("_info.mat", ".mp4")), frame), image_size=SIZE,
            center=center, side=side, box=tight_box(points), joints2d=with_column(points), joints3d=with_column(joints),
            pose=pose, betas=betas,
            trans=None if body is None else (joints[0] - body.rest_root(betas)).astype(np.float32),
            gender=clip["gender"], camera=CAMERA.copy(), subject=self.subject(row),
        )  # fmt: skip


def mirrored_to_camera(pose: np.ndarray, zrot: float) -> np.ndarray:
    """The mirrored pose (72,) float32, as in the image, root into the camera frame, of the file's pose (72,) rad.

    zrot: rad.
    """
    vectors = np.asarray(pose, np.float64).reshape(24, 3)
    rotated = (
        CAPTURE_TO_WORLD @ Rotation.from_euler("z", zrot).as_matrix() @ Rotation.from_rotvec(vectors[0]).as_matrix()
    )
    mirrored = vectors[_MIRROR] * [1, -1, -1]
    mirrored[0] = Rotation.from_matrix(WORLD_TO_CAMERA @ rotated @ _REFLECT_X).as_rotvec()
    return mirrored.ravel().astype(np.float32)


@lru_cache(maxsize=8)
def _clip(file: Path) -> dict[str, Any]:
    """The fields of a clip, with the frame as last axis.  Raises BadInput `bad_data_file`."""
    try:
        content = scipy.io.loadmat(str(require(file)), variable_names=_FIELDS)
    except BadInput:
        raise
    except Exception as error:  # a corrupt file can raise anything
        raise bad_file(file, f"cannot be read as MATLAB 5 ({error})") from None
    missing = [key for key in _FIELDS if key not in content]
    if missing:
        raise bad_file(file, f"lacks {', '.join(missing)}")
    count = content["pose"].size // 72
    shapes = {"joints2D": (2, 24), "joints3D": (3, 24), "pose": (72,), "shape": (10,), "zrot": ()}
    clip: dict[str, Any] = {}
    for key, shape in shapes.items():
        if content[key].size != np.prod((*shape, count)):
            raise bad_file(file, f"has {key!r} of shape {content[key].shape}, expected {(*shape, count)}")
        clip[key] = np.asarray(content[key], np.float64).reshape(*shape, count)
    clip["camLoc"] = numbers(content, "camLoc", (3,), file, "-", np.float64)
    # 0 is female, 1 male
    clip["gender"] = "female" if int(np.ravel(content["gender"])[0]) == 0 else "male"
    return clip


def _columns(files: Sequence[Path], folder: Path, every: int) -> Columns:
    rows = []
    for file in files:
        name = file.relative_to(folder).as_posix()
        for frame in range(0, _frame_count(file), every):
            rows.append({"key": f"{name.removesuffix('_info.mat')}#{frame}", "clip": name, "frame": frame})
    return stack_columns(rows, None, folder)


def _frame_count(file: Path) -> int:
    """Number of frames of a clip, from the header of its file."""
    try:
        shapes = {name: shape for name, shape, _ in scipy.io.whosmat(str(file))}
    except Exception as error:
        raise bad_file(file, f"cannot be read as MATLAB 5 ({error})") from None
    if "pose" not in shapes:
        raise bad_file(file, "lacks pose")
    return int(np.prod(shapes["pose"])) // 72
