"""Standardises the last feature map of MediaPipe's backbone on training images, before the first step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from backend.models.backbones.blazepose import BlazePose
from training.datasets.datamodule import RecordData

_IMAGES, _BATCH = 256, 16


def calibrate(backbone: BlazePose, data: RecordData) -> None:
    """Calibrates the backbone on the first 256 training images without augmentation.

    The result is the same in every process, and for runs on more or fewer rows of the same set.
    """
    (records,) = data.sets["train"]
    rows = range(min(_IMAGES, len(records)))

    def images() -> Iterator[Tensor]:
        for begin in rows[::_BATCH]:
            part = rows[begin : begin + _BATCH]
            yield torch.as_tensor(np.stack([data.prepare(records[row], None)["image"] for row in part]))

    backbone.calibrate(images())
