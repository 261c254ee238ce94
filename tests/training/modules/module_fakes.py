"""Fake backbones, and batches with ground truth labels, to overfit one batch in seconds."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from training.datasets.geometry import with_column
from training.datasets.record import Record
from training.datasets.tiny.people import SIZE, bodies, hands
from training.preprocessing.metro_style import MetroPreparer


class ImageInMemory:
    """An image in memory."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def read(self) -> np.ndarray:
        return self.pixels


def records(part: str = "body", count: int = 2) -> list[Record]:
    """Tiny people with all labels, 3D in the camera frame."""
    people = bodies(count) if part == "body" else hands(count)
    joint_set = "metro24" if part == "body" else "hand21"
    size = SIZE if part == "body" else (224, 224)
    out = []
    for person in people:
        box = person.box()
        out.append(
            Record(
                key=f"{person.index:08d}",
                dataset="tiny",
                joint_set=joint_set,
                image=ImageInMemory(person.image(size)),
                center=(box[:2] + box[2:]) / 2,
                side=1.2 * float((box[2:] - box[:2]).max()),
                joints2d=with_column(person.joints2d(joint_set)),
                joints3d=with_column(person.joints3d(joint_set)),
                pose=person.pose,
                betas=person.betas,
            )
        )
    return out


def batch(part: str = "body", count: int = 2, size: int = 56) -> dict[str, Tensor]:
    prepare = MetroPreparer(size=(size, size), part=part)
    rows = [prepare(record) for record in records(part, count)]
    return {name: torch.as_tensor(np.stack([row[name] for row in rows])) for name in rows[0]}


class TinyBackbone(nn.Module):
    """Images (N, 3, 56, 56) -> (N, 2048, 7, 7), in place of a ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 8, 8), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 2048, 1), nn.ReLU()
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class TinyPyramid(nn.Module):
    """Images (N, 3, 112, 112) -> the four feature maps of an HRNet at 224, by one convolution each."""

    channels = (32, 64, 128, 256)

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(3, c, 2**k, 2**k), nn.BatchNorm2d(c), nn.ReLU())
            for k, c in zip((1, 2, 3, 4), self.channels, strict=True)
        )

    def features(self, images: Tensor) -> list[Tensor]:
        return [layer(images) for layer in self.layers]


def overfit(module: nn.Module, data: dict[str, Tensor], steps: int, lr: float, clip: float = 0.0) -> list[float]:
    """The losses of `steps` steps on one batch, by the module's own optimiser at another learning rate."""
    module.train()
    module.log_dict = lambda *_: None  # there is no trainer to log to
    configured = module.configure_optimizers()  # type: ignore[operator]
    optimizer = configured["optimizer"] if isinstance(configured, dict) else configured
    losses = []
    for group in optimizer.param_groups:
        group["lr"] = lr
    for _ in range(steps):
        optimizer.zero_grad()
        loss = module.training_step(data, 0)  # type: ignore[operator]
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(module.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses
