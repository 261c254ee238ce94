"""The models and bodies that the server offers, without importing torch."""

from __future__ import annotations

from typing import Any

from backend.errors import BadInput
from backend.models.registry import available_models, get_model


def models() -> list[dict[str, Any]]:
    """Entries of `welcome.models`: the models that can run, and those whose weights are available."""
    names = ("name", "label", "ready", "body", "license", "hint")
    return [{name: getattr(spec, name) for name in names} for spec in available_models() if spec.offered]


def bodies() -> list[dict[str, str]]:
    """Entries of `welcome.bodies`."""
    from backend.body.registry import available_bodies

    return [{"name": spec.name, "label": spec.label, "license": spec.license} for spec in available_bodies()]


def check_model(name: str) -> None:
    """Check that the model can run.  Raises BadInput `unknown_model` (with the list) or `model_not_ready`."""
    spec = get_model(name)
    if not spec.ready:
        raise BadInput("model_not_ready", f"The model {name} cannot run yet.", spec.hint)


def check_body(name: str) -> None:
    """Check that the body exists.  Raises BadInput `unknown_body` with the list of names."""
    known = [body["name"] for body in bodies()]
    if name not in known:
        raise BadInput("unknown_body", f"There is no body {name!r}.", f"Choose one of: {', '.join(known)}.")
