"""Images of predicted meshes over their input, in TensorBoard and as files: they show errors that metrics hide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from backend.export.overlay import draw_overlay, side_view, write_image
from backend.structures import Camera

_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_FAR = 50.0  # m, the distance at which perspective is negligible


class MeshImageCallback(Callback):
    """Draws the first samples of the first validation set after every epoch: mesh over crop, and from the side.

    Needs the module's `visualised(batch) -> None or (images or None, vertices, camera or None, faces)`: images
    (N, 3, H, W) as the network takes them, vertices (N, V, 3) m relative to any root, camera (N, 3) s, tx, ty of the
    crop, faces (F, 3).
    """

    def __init__(self, folder: Path, max_samples: int = 4) -> None:
        self.folder, self.max_samples = folder, max_samples

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        due = trainer.is_global_zero and batch_idx == 0 and dataloader_idx == 0
        if not due or not hasattr(pl_module, "visualised"):
            return
        first_samples = {name: value[: self.max_samples] for name, value in batch.items()}
        with torch.no_grad():
            visualisation = pl_module.visualised(first_samples)  # type: ignore[operator]
        if visualisation is None:
            return
        sheet = draw_sheet(*visualisation)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("meshes", sheet, trainer.global_step, dataformats="HWC")
        self.folder.mkdir(parents=True, exist_ok=True)
        write_image(self.folder / f"step-{trainer.global_step:08d}.jpg", sheet)


def draw_sheet(
    images: torch.Tensor | None, vertices: torch.Tensor, camera: torch.Tensor | None, faces: torch.Tensor
) -> np.ndarray:
    """Contact sheet, uint8 RGB: per sample a row of input, mesh over it, side view; without images: front and side."""
    rows = []
    mesh_faces = faces.cpu().numpy()
    for k, points in enumerate(vertices.float().cpu().numpy().astype(np.float64)):
        views = []
        size = 224
        if images is not None:
            image = images[k].float().cpu().numpy().transpose(1, 2, 0) * _STD + _MEAN
            pixels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
            views.append(pixels)
            size = len(pixels)
            if camera is not None and np.isfinite(points).all():
                views.append(_overlay_mesh(pixels, points, camera[k].float().cpu().numpy(), mesh_faces))
        if np.isfinite(points).all():
            angles = (np.pi / 2,) if images is not None else (0.0, np.pi / 2)
            views += [side_view([points], mesh_faces, size=size, yaw=angle) for angle in angles]
        else:
            views.append(np.zeros((size, size, 3), np.uint8))
        rows.append(np.concatenate(views, 1))
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _overlay_mesh(pixels: np.ndarray, points: np.ndarray, camera: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The mesh drawn over the crop.  camera (3,): s, tx, ty; the crop's longer side spans [-1, 1]."""
    height, width = pixels.shape[:2]
    scale, shift = float(camera[0]), camera[1:]
    if not np.isfinite(camera).all() or scale <= 1e-3:
        return pixels
    focal = scale * max(height, width) / 2 * _FAR  # px; at distance _FAR a metre spans s half-crops
    moved = points + [*shift, _FAR - float(points[:, 2].mean())]
    pinhole = Camera(fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height)
    return draw_overlay(pixels, [moved], faces, pinhole)
