"""Feature cache: the output of frozen layers, computed once per training row and stored on disk.

On a CPU these layers take most of a small run's time.  The cache has the feature maps of a frozen backbone, or the
output of its early layers where only these are frozen.  Augmentation is drawn once per row (that of epoch 0), and runs
with the same data, preparation and seed share a cache.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from training.run.spec import Run


def cache_folder(run: Run, root: Path, layers: Sequence[nn.Module]) -> Path:
    """The cache's folder below `root`, named by a hash of all that features depend on.  layers: the frozen ones."""
    sets = [dataclasses.asdict(spec) for spec in run.data.train]
    for one in sets:
        one["options"].pop("first", None)  # fewer rows, but the same
    what = [run.seed, run.data.prepare, sets]
    if run.training.precision != "32":
        what.append(run.training.precision)
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
    for layer in layers:
        for value in layer.state_dict().values():
            digest.update(value.cpu().contiguous().numpy().tobytes())
    return root / "kept-maps" / digest.hexdigest()[:16]


class FeatureCache(Callback):
    """During training, `backbone.features` (or the method `name`) returns cached features of the rows that have them.

    folder: called before the first step, when the backbone has its final weights, also after a resume.  rows: size of
    the training set.  Processes of one machine share the folder.
    """

    def __init__(self, backbone: nn.Module, folder: Callable[[], Path], rows: int, name: str = "features") -> None:
        self.backbone, self.folder, self.count, self.name = backbone, folder, rows, name
        self.compute: Any = getattr(backbone, name)
        self.rows: np.ndarray | None = None
        self.arrays: list[np.ndarray] = []
        self.filled: np.ndarray | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # an instance attribute, so that the names in checkpoints stay the same
        object.__setattr__(self.backbone, self.name, self.cached_forward)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        object.__delattr__(self.backbone, self.name)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.filled is None:
            shapes = [tuple(made.shape[1:]) for made in self.cached_forward(batch["image"][:1])]
            # rank 0 creates the files, then the others open them
            if trainer.is_global_zero:
                self._open(shapes)
            trainer.strategy.barrier("cached features")
            if not trainer.is_global_zero:
                self._open(shapes)
        self.rows = batch["row"].cpu().numpy()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.rows = None

    @torch.no_grad()
    def cached_forward(self, x: Tensor) -> list[Tensor]:
        """The features of images x (N, 3, H, W), one float32 map per level; cached ones were rounded to float16."""
        if self.rows is None:
            return self.compute(x)
        assert self.filled is not None
        uncached = self.filled[self.rows] == 0
        if uncached.any():
            for cached, made in zip(self.arrays, self.compute(x[torch.from_numpy(uncached)]), strict=True):
                cached[self.rows[uncached]] = made.float().cpu().numpy()  # numpy has no bfloat16
            self.filled[self.rows[uncached]] = 1
        return [torch.from_numpy(cached[self.rows].astype(np.float32)).to(x.device) for cached in self.arrays]

    def _open(self, shapes: list[tuple[int, ...]]) -> None:
        folder = self.folder()
        folder.mkdir(parents=True, exist_ok=True)
        self.arrays = [
            self._file(folder / f"map{k}.npy", (self.count, *shape), np.float16) for k, shape in enumerate(shapes)
        ]
        self.filled = self._file(folder / "done.npy", (self.count,), np.uint8)

    def _file(self, path: Path, shape: tuple[int, ...], kind: type) -> np.ndarray:
        if path.is_file() and np.load(path, mmap_mode="r").shape[0] < self.count:
            path.unlink()  # from a run on fewer rows
        mode = "r+" if path.is_file() else "w+"
        return np.lib.format.open_memmap(path, mode, kind, shape if mode == "w+" else None)
