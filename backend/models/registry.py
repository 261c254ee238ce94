"""The models by name: what each is, whether it can run, and what is missing if not."""

from __future__ import annotations

from backend.body.registry import OPEN_BODIES
from backend.errors import BadInput
from backend.models.recovery_model import ModelSpec, RecoveryModel
from backend.models.spec import NETWORKS, NetworkSpec, how_to_get
from backend.models.weights_files import find_weights, read_card

DEFAULT_MODEL = "keypoint-fit"
GUIDED_FIT = "keypoint-fit"  # guided by the small Pose2Mesh
PLAIN_FIT = "keypoint-fit-plain"


def _keypoint_fit(name: str, label: str, summary: str) -> ModelSpec:
    def load(device: str, options: object = None) -> RecoveryModel:
        from backend.models.keypoint_fit import GUIDE, KeypointFitModel

        return KeypointFitModel(spec, get_model(GUIDE) if name == GUIDED_FIT else None)

    spec = ModelSpec(
        name=name,
        label=label,
        summary=summary + " Built in, licence-free, needs no download.",
        body="open_body",
        license="CC0-1.0 (open body); keypoints by MediaPipe, Apache-2.0. Any use.",
        ready=True,
        hint="",
        load=load,
    )
    return spec


_KEYPOINT_FITS = (
    _keypoint_fit(
        GUIDED_FIT,
        "Keypoint Fit",
        "Fits the open body to MediaPipe keypoints, guided by the small Pose2Mesh.",
    ),
    _keypoint_fit(PLAIN_FIT, "Keypoint Fit, plain", "Fits the open body to MediaPipe keypoints alone."),
)


def available_models() -> list[ModelSpec]:
    """Every known model, the ready ones first.  Looks for weights files on each call; cheap, no torch."""
    specs = [*_KEYPOINT_FITS, *(_network_model(network) for network in NETWORKS)]
    return sorted(specs, key=lambda spec: not spec.ready)


def _network_model(network: NetworkSpec) -> ModelSpec:
    """A network's model; body, licence and readiness come from the card of its weights file, where there is one."""

    def load(device: str, options: object = None) -> RecoveryModel:
        from backend.models.inference.network_model import NetworkModel

        return NetworkModel(spec, device, options)  # type: ignore[arg-type]

    body, license_text, hint, testing = OPEN_BODIES[network.part], network.license, how_to_get(network), False
    path = find_weights(network.name)
    if path is not None:
        try:
            card = read_card(path)
            body, license_text, hint, testing = card.body, card.license, "", card.testing
        except BadInput as error:
            hint = str(error)
    spec = ModelSpec(
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
    return spec


def get_model(name: str) -> ModelSpec:
    """The model called `name`; raises BadInput `unknown_model` with the list of names."""
    for spec in _KEYPOINT_FITS:
        if spec.name == name:
            return spec
    for network in NETWORKS:
        if network.name == name:
            return _network_model(network)
    known = ", ".join([*(spec.name for spec in _KEYPOINT_FITS), *(network.name for network in NETWORKS)])
    raise BadInput("unknown_model", f"There is no model {name!r}.", f"Choose one of: {known}.")
