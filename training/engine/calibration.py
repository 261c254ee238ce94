"""The scale of a backbone's last map, measured on the training images before the first step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from backend.models.backbones.blazepose import BlazePose
from training.datasets.datamodule import RecordData

_IMAGES, _BATCH = 256, 16


def calibrate(backbone: BlazePose, data: RecordData) -> None:
    """By the set's first images, unchanged: the same in every process, and in runs on more or fewer rows."""
    (records,) = data.sets["train"]
    rows = range(min(_IMAGES, len(records)))

    def images() -> Iterator[Tensor]:
        for begin in rows[::_BATCH]:
            part = rows[begin : begin + _BATCH]
            yield torch.as_tensor(np.stack([data.prepare(records[row], None)["image"] for row in part]))

    backbone.calibrate(images())
