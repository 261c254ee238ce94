"""The models by name: what each is, whether it can run on this machine, and what is missing if not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from backend.errors import BadInput

if TYPE_CHECKING:
    from backend.body.model import BodyModel
    from backend.people.person import DetectedPerson
    from backend.results import Camera, RecoveredPerson

DEFAULT_MODEL = "keypoint-fit"


class RecoveryModel(Protocol):
    """Turns detected people into bodies.  Loaded once per worker; `recover` is called per image."""

    spec: ModelSpec
    body: BodyModel

    def recover(
        self, pixels: np.ndarray, people: list[DetectedPerson], camera: Camera
    ) -> list[RecoveredPerson]:
        """pixels: uint8 RGB (H, W, 3).  One body per person, in the same order, standing in the camera frame."""
        ...


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
    load: Callable[[str], RecoveryModel]  # device ("cpu" or "cuda") -> model


def _load_keypoint_fit(device: str) -> RecoveryModel:
    from backend.models.keypoint_fit import KeypointFitModel

    return KeypointFitModel()


_MODELS = (
    ModelSpec(
        name=DEFAULT_MODEL,
        label="Keypoint Fit",
        summary="Fits the open body to MediaPipe keypoints. Built in, licence-free, needs no download.",
        body="open_body",
        license="CC0-1.0 (open body); keypoints by MediaPipe, Apache-2.0. Any use.",
        ready=True,
        hint="",
        load=_load_keypoint_fit,
    ),
)


def available_models() -> list[ModelSpec]:
    """Every known model, those that can run now first."""
    return sorted(_MODELS, key=lambda spec: not spec.ready)


def get_model(name: str) -> ModelSpec:
    """Look a model up by name; raises BadInput `unknown_model` with the list of names."""
    for spec in _MODELS:
        if spec.name == name:
            return spec
    known = ", ".join(spec.name for spec in _MODELS)
    raise BadInput("unknown_model", f"There is no model {name!r}.", f"Choose one of: {known}.")
