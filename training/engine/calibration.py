"""The scale of a trunk's last map, measured on the training pictures before the first step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from backend.models.backbones.blazepose import BlazePose
from training.datasets.datamodule import RecordData

_PICTURES, _BATCH = 256, 16


def calibrate(backbone: nn.Module, data: RecordData) -> bool:
    """Whether there was something to measure.  The same pictures, unchanged, in every process."""
    if not isinstance(backbone, BlazePose):
        return False
    (records,) = data.sets["train"]
    rows = np.unique(np.linspace(0, len(records) - 1, _PICTURES).astype(int))

    def images() -> Iterator[Tensor]:
        for part in np.array_split(rows, -(-len(rows) // _BATCH)):
            prepared = [data.prepare(records[int(row)], None)["image"] for row in part]
            yield torch.as_tensor(np.stack(prepared))

    backbone.calibrate(images())
    return True
