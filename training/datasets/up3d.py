"""UP-3D (Lassner et al. 2017).

    {trainval,test}.txt          one `/NNNNN_image.png` per line
    NNNNN_image.png              the image
    NNNNN_joints.npy             (3, 14): x, y px and visibility, LSP's order
    NNNNN_body.pkl               Python pickle: pose (72), betas (10), trans, rt, t (3,) and f of SMPLify's camera
    NNNNN_render_light.png       the fit on white, whose extent is the person's box

The pickles are read by the restricted unpickler, which runs no code in them.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from backend.body.unpickle import read_pickle
from backend.errors import BadInput
from training.datasets.base import BaseDataset
from training.datasets.geometry import square_box
from training.datasets.image_sources import ImageFile
from training.datasets.record import Record
from training.datasets.validation import bad_file, bad_row, numbers, require

_GROW = 0.9  # SPIN's box of UP-3D: 0.9 of the longer side of the render


class Up3d(BaseDataset):
    """One split, trainval or test.  path: the folder of all files.  body: for the check of the fits."""

    def __init__(self, path: str | Path, split: str = "trainval", body: str | None = None) -> None:
        if split not in ("trainval", "train", "val", "test"):
            raise BadInput("unknown_split", f"UP-3D has no split {split!r}.", "Choose trainval or test.")
        self.path, self.body, self.name = Path(path), body, f"up3d/{split}"
        self.list = require(self.path / f"{split}.txt")
        lines = self.list.read_text("ascii", "replace").split()
        self.numbers = [line.strip().lstrip("/").split("_")[0] for line in lines]
        if not self.numbers:
            raise bad_file(self.list, "lists no image")

    def __len__(self) -> int:
        return len(self.numbers)

    def subject(self, row: int) -> str:
        return ""

    def source(self, row: int) -> tuple[Path, object]:
        return self.list, f"{row} ({self.numbers[row]})"

    def _file(self, row: int, kind: str) -> Path:
        return self.path / f"{self.numbers[row]}_{kind}"

    def read(self, row: int) -> Record:
        body_file, joints_file = self._file(row, "body.pkl"), self._file(row, "joints.npy")
        fit = read_pickle(require(body_file))
        try:
            joints = np.load(require(joints_file), allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise bad_file(joints_file, f"is not an array ({error})") from None
        joints = numbers({"joints": joints}, "joints", (3, 14), joints_file, "-").T
        pose, betas = (numbers(fit, key, shape, body_file, "-") for key, shape in (("pose", (72,)), ("betas", (10,))))
        box, size = self._box(row)
        center, side = square_box(box, _GROW)
        camera, trans = self._camera(fit, size, body_file)
        return Record(
            key=self.numbers[row], dataset="up3d", joint_set="lsp14", image=ImageFile(self._file(row, "image.png")),
            image_size=size, center=center, side=side, box=box, joints2d=joints, pose=pose, betas=betas, trans=trans,
            camera=camera,
        )  # fmt: skip

    def _box(self, row: int) -> tuple[np.ndarray, tuple[int, int]]:
        """Tight box (4,) px of the non-white pixels of the render, and the image's width and height."""
        file = require(self._file(row, "render_light.png"))
        pixels = cv2.imread(str(file))
        if pixels is None:
            raise bad_file(file, "cannot be decoded")
        rows, columns = np.nonzero(pixels.min(2) < 255)
        if not len(rows):
            raise bad_row(file, "-", "the render is all white: it shows no person")
        box = np.array([columns.min(), rows.min(), columns.max(), rows.max()], np.float32)
        return box, (pixels.shape[1], pixels.shape[0])

    def _camera(self, fit: dict, size: tuple[int, int], file: Path) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Camera (4,) px and trans (3,) m of a fit; None where the camera is not SMPLify's usual one.

        That has its principal point at the image's centre; its rotation `rt` is zero in the release.
        """
        if any(key not in fit for key in ("t", "f", "rt")) or np.any(np.asarray(fit["rt"])):
            return None, None
        focal = np.broadcast_to(np.ravel(np.asarray(fit["f"], np.float32))[:1], 2)
        camera = np.concatenate([focal, np.array(size, np.float32) / 2])
        trans = numbers(fit, "t", (3,), file, "-")
        return camera, trans + numbers(fit, "trans", (3,), file, "-") if "trans" in fit else trans
