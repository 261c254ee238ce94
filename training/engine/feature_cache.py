"""What frozen layers see, computed once per training row and kept on disk: on a CPU most of a small run's time.

Of a wholly frozen backbone its maps are kept, of one that is frozen early what its early layers see.

Each row's augmentation is drawn once then (that of epoch 0), and runs with the same data, preparation and seed share
what is kept.
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
    """Below the data, by everything that the maps of a row depend on.  layers: the frozen ones."""
    sets = [dataclasses.asdict(spec) for spec in run.data.train]
    for one in sets:
        one["options"].pop("first", None)  # the same rows, fewer of them
    what = [run.seed, run.data.prepare, sets]
    if run.training.precision != "32":
        what.append(run.training.precision)
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
    for layer in layers:
        for value in layer.state_dict().values():
            digest.update(value.cpu().contiguous().numpy().tobytes())
    return root / "kept-maps" / digest.hexdigest()[:16]


class FeatureCache(Callback):
    """While it trains, `backbone.features` (or another method `name`) answers from `folder` where it can.

    folder: asked before the first step, when the backbone has its weights, also those of a checkpoint.  rows: of the
    training set.  Processes of one machine share the folder.
    """

    def __init__(self, backbone: nn.Module, folder: Callable[[], Path], rows: int, name: str = "features") -> None:
        self.backbone, self.folder, self.count, self.name = backbone, folder, rows, name
        self.compute: Any = getattr(backbone, name)
        self.rows: np.ndarray | None = None
        self.arrays: list[np.ndarray] = []
        self.filled: np.ndarray | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # an attribute of the instance: names in checkpoints stay the backbone's own
        object.__setattr__(self.backbone, self.name, self.cached_forward)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        object.__delattr__(self.backbone, self.name)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.filled is None:
            shapes = [tuple(made.shape[1:]) for made in self.cached_forward(batch["image"][:1])]
            # one makes the files, then the others find them
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
        """As the backbone's own, in half precision between."""
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
            path.unlink()  # of a smaller part of the set
        mode = "r+" if path.is_file() else "w+"
        return np.lib.format.open_memmap(path, mode, kind, shape if mode == "w+" else None)
