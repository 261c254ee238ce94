"""The models by name: what each is, whether it can run on this machine, and what is missing if not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backend.errors import BadInput
from backend.models.spec import NETWORKS, NetworkSpec
from backend.models.store import find_weights, read_card

if TYPE_CHECKING:
    from backend.body.model import BodyModel
    from backend.models.inference.engine import Engine
    from backend.structures import Camera, DetectedPerson, RecoveredPerson

DEFAULT_MODEL = "keypoint-fit"
GUIDED_FIT = "keypoint-fit"  # the variant that the small Pose2Mesh guides
PLAIN_FIT = "keypoint-fit-plain"
_USUAL_BODY = {"body": "open_body", "hand": "open_hand"}


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
    def recover(
        self, pixels: np.ndarray, people: list[DetectedPerson], camera: Camera
    ) -> list[RecoveredPerson]:
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


def _keypoint_fit(name: str, label: str, summary: str) -> ModelSpec:
    def load(device: str, options: object = None) -> RecoveryModel:
        from backend.models.keypoint_fit import KeypointFitModel

        return KeypointFitModel(name)

    return ModelSpec(
        name=name,
        label=label,
        summary=summary + " Built in, licence-free, needs no download.",
        body="open_body",
        license="CC0-1.0 (open body); keypoints by MediaPipe, Apache-2.0. Any use.",
        ready=True,
        hint="",
        load=load,
    )


_KEYPOINT_FITS = (
    _keypoint_fit(
        GUIDED_FIT,
        "Keypoint Fit",
        "Fits the open body to MediaPipe keypoints, guided by the small Pose2Mesh.",
    ),
    _keypoint_fit(PLAIN_FIT, "Keypoint Fit, plain", "Fits the open body to MediaPipe keypoints alone."),
)


def available_models() -> list[ModelSpec]:
    """Every known model, those that can run now first.  Looks for weights anew each time; cheap, no torch."""
    specs = [*_KEYPOINT_FITS, *(_network_model(network) for network in NETWORKS)]
    return sorted(specs, key=lambda spec: not spec.ready)


def _network_model(network: NetworkSpec) -> ModelSpec:
    """A network with what its weights file, if there is one, says of itself."""

    def load(device: str, options: object = None) -> RecoveryModel:
        from backend.models.inference.network_model import NetworkModel

        return NetworkModel(network.name, device, options)  # type: ignore[arg-type]

    body, license_text, hint, testing = _USUAL_BODY[network.part], network.license, how_to_get(network), False
    path = find_weights(network.name)
    if path is not None:
        try:
            card = read_card(path)
            body, license_text, hint, testing = card.body, card.license, "", card.testing
        except BadInput as error:
            hint = str(error)
    return ModelSpec(
        name=network.name,
        label=network.label + (" (test weights)" if testing else ""),
        summary=f"{network.input} -> {network.outputs}. Published: {network.published}.",
        body=body,
        license=license_text,
        ready=not hint,
        hint=hint,
        load=load,
        part=network.part,
        testing=testing,
        offered=not hint or network.released,
    )


def how_to_get(network: NetworkSpec) -> str:
    """What to do for the weights of a network."""
    needs = f" with {', '.join(network.needs)} beside it" if network.needs else ""
    where = f"get {network.source}{needs}" if network.released else network.source
    return f"{where[0].upper()}{where[1:]}; then: recover-mesh models import {network.name} FILE."


def get_model(name: str) -> ModelSpec:
    """Look a model up by name; raises BadInput `unknown_model` with the list of names."""
    for spec in _KEYPOINT_FITS:
        if spec.name == name:
            return spec
    for network in NETWORKS:
        if network.name == name:
            return _network_model(network)
    known = ", ".join([*(spec.name for spec in _KEYPOINT_FITS), *(network.name for network in NETWORKS)])
    raise BadInput("unknown_model", f"There is no model {name!r}.", f"Choose one of: {known}.")
