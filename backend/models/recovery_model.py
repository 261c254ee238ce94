"""The interface of a model: its description (`ModelSpec`) and its recovery of bodies (`RecoveryModel`)."""

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
    """Recovers bodies of detected people.  Loaded once per worker; `recover` is called per image."""

    spec: ModelSpec
    body: BodyModel
    notice: str = ""  # warning that is shown with its results
    pose_set: str = ""  # joint set of the 2D poses that a user may give (`POSE_SETS`); "" where it takes none
    engine: Engine | None = None  # runs the network, where the model has one

    @property
    def memory(self) -> int:
        """Bytes of the network's weights and constants, without the body."""
        return 0 if self.engine is None else self.engine.memory

    @abstractmethod
    def recover(self, pixels: np.ndarray, people: list[DetectedPerson], camera: Camera) -> list[RecoveredPerson]:
        """One body per person, in the same order, in the camera frame.  pixels: uint8 RGB (H, W, 3)."""


@dataclass(frozen=True)
class ModelSpec:
    """A model as the panel and `recover-mesh models` show it."""

    name: str
    label: str
    summary: str
    body: str  # name of the body model of its results
    license: str  # of its results
    ready: bool
    hint: str  # what is missing and where to get it; empty when ready
    load: Callable[..., RecoveryModel]  # device ("cpu" or "cuda"), and EngineOptions for networks -> model
    part: str = "body"  # or `hand`
    testing: bool = False  # its weights are test weights: the bodies are meaningless
    offered: bool = True  # whether the panel lists it: it is ready, or official weights exist
