"""What a model is to everything that runs one: what it says of itself, and how it turns people into bodies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from backend.body.model import BodyModel
    from backend.models.inference.engine import Engine
    from backend.structures import Camera, DetectedPerson, RecoveredPerson


class RecoveryModel(ABC):
    """Turns detected people into bodies.  Loaded once per worker; `recover` is called per image."""

    spec: ModelSpec
    body: BodyModel
    notice: str = ""  # what everybody must know who uses its results
    pose_set: str = ""  # of the keypoints that it takes (`POSE_SETS`); "": none that a user could give
    engine: Engine | None = None  # that runs its network, where it has one

    @property
    def memory(self) -> int:
        """Bytes that it takes, without the body."""
        return 0 if self.engine is None else self.engine.memory

    @abstractmethod
    def recover(self, pixels: np.ndarray, people: list[DetectedPerson], camera: Camera) -> list[RecoveredPerson]:
        """pixels: uint8 RGB (H, W, 3).  One body per person, in the same order, standing in the camera frame."""


@dataclass(frozen=True)
class ModelSpec:
    """A model as the panel and `recover-mesh models` show it."""

    name: str
    label: str
    summary: str
    body: str  # the body its answers belong to
    license: str  # of its results
    ready: bool
    hint: str  # what is missing and where to get it; empty when ready
    load: Callable[..., RecoveryModel]  # device ("cpu" or "cuda"), and EngineOptions for networks -> model
    part: str = "body"  # or `hand`
    testing: bool = False  # its weights are nonsense that only exercises the plumbing
    offered: bool = True  # whether artists should see it: ready, or its weights can be had
