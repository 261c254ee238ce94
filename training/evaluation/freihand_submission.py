"""Writes FreiHAND's submission file: predictions of all evaluation images for the benchmark's server.

Zimmermann et al., ICCV 2019; github.com/lmb-freiburg/freihand: `pred.json`, zipped, is [joints, vertices], each with
one entry per image in the order of the files, 21 x 3 and 778 x 3 numbers in metres.  The server aligns hands before
scoring, so that the origin is arbitrary.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from backend.errors import BadInput

IMAGES = 3960
JOINTS, VERTICES = 21, 778


class FreiHANDSubmission:
    """Collects predictions, in any order and from any process."""

    def __init__(self, images: int = IMAGES) -> None:
        self.images = images
        self.rows: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def add(self, index: np.ndarray, joints: np.ndarray, vertices: np.ndarray) -> None:
        """Adds predictions.  index (N,): of the image in the evaluation set, from 0; joints (N, 21, 3), vertices
        (N, 778, 3) m.

        Of an image that occurs twice (from a sampler that pads) the first prediction stays.
        Raises BadInput `bad_submission`.
        """
        if joints.shape[1:] != (JOINTS, 3) or vertices.shape[1:] != (VERTICES, 3):
            raise _bad_submission(
                f"Predictions of {joints.shape[1:]} joints and {vertices.shape[1:]} vertices",
                f"({JOINTS}, 3) and ({VERTICES}, 3)",
                "Predict FreiHAND's 21 joints and MANO's mesh.",
            )
        for k, j, v in zip(index, joints, vertices, strict=True):
            if not 0 <= int(k) < self.images:
                raise _bad_submission(
                    f"An image with index {int(k)}",
                    f"0 to {self.images - 1}",
                    "Run on the evaluation set alone, one image each.",
                )
            if not (np.isfinite(j).all() and np.isfinite(v).all()):
                raise _bad_submission(
                    f"A prediction of image {int(k)} with NaN or infinite values",
                    "finite ones",
                    "Check the weights.",
                )
            self.rows.setdefault(int(k), (np.array(j, np.float64), np.array(v, np.float64)))

    def gather(self) -> None:
        """Adds the predictions of all other processes.  Collective: every process must call it."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            gathered: list[dict] = [{} for _ in range(torch.distributed.get_world_size())]
            torch.distributed.all_gather_object(gathered, self.rows)
            for rows in gathered:
                self.rows = {**rows, **self.rows}

    def finish(self, folder: Callable[[], Path], first: bool) -> None:
        """At the end of a pass, in every process: `first` writes if all images have a prediction; then all are cleared.
        folder: called only to write."""
        self.gather()
        if len(self.rows) == self.images and first:
            print(f"FreiHAND: {self.write(folder())}")
        self.rows.clear()

    def write(self, folder: Path) -> Path:
        """Writes `pred.zip` with `pred.json` -> its path.  Raises BadInput `bad_submission` for missing predictions."""
        missing = [k for k in range(self.images) if k not in self.rows]
        if missing:
            some = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
            raise _bad_submission(
                f"{len(self.rows)} images have a prediction, not {some}: that",
                f"all {self.images}",
                "Run the whole evaluation set, without dropping the last batch.",
            )
        order = [self.rows[k] for k in range(self.images)]
        # rounded to 0.1 micrometres: a third of the size, far below what a score shows
        content = [[np.round(row[part], 7).tolist() for row in order] for part in (0, 1)]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "pred.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("pred.json", json.dumps(content))
        return path


def _bad_submission(what: str, expected: str, hint: str) -> BadInput:
    return BadInput("bad_submission", f"{what} cannot be submitted to FreiHAND, expected {expected}.", hint)
