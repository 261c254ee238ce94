"""Names in run files -> the classes behind them: modules, preparers.  Importing this imports none of them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from backend.errors import BadInput

MODULES = {
    "fastmetro": "training.modules.fastmetro:FastMETROModule",
    "smpler": "training.modules.smpler:SMPLerModule",
    "deformer": "training.modules.deformer:DeFormerModule",
    "pose2mesh": "training.modules.pose2mesh:Pose2MeshModule",
}
PREPARERS = {
    "metro_style": "training.preprocessing.metro_style:MetroPreparer",
    "pose2mesh_style": "training.preprocessing.pose2mesh_style:Pose2MeshPreparer",
}


def look_up(table: Mapping[str, str], name: str, file: str, key: str) -> Callable[..., Any]:
    """The class behind a name; raises BadInput `bad_run` with the known names."""
    if name not in table:
        raise BadInput(
            "bad_run", f"{file}: {key} is {name!r}, which is not known.", f"Known are: {', '.join(table)}."
        )
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def takes(maker: Callable[..., Any], name: str) -> bool:
    """Whether `maker` has that parameter."""
    return name in inspect.signature(maker).parameters


def check_settings(maker: Callable[..., Any], settings: Mapping[str, Any], file: str, key: str) -> None:
    """Raises BadInput `bad_run` for a setting that `maker` does not take, or a missing one."""
    parameters = inspect.signature(maker).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in settings:
        if name not in parameters:
            known = ", ".join(parameters)
            raise BadInput("bad_run", f"{file}: {key}.{name} is not known.", f"Known are: {known}.")
    lacking = [n for n, p in parameters.items() if p.default is p.empty and n not in settings]
    if lacking:
        raise BadInput(
            "bad_run", f"{file}: {key}.{lacking[0]} is missing.", "Every run file is complete: add it."
        )


def make_with(maker: Callable[..., Any], settings: Mapping[str, Any], file: str, key: str) -> Any:
    """`maker(**settings)`; raises BadInput `bad_run`, also for what is wrong further inside: the name of a weight."""
    check_settings(maker, settings, file, key)
    try:
        return maker(**settings)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BadInput(
            "bad_run",
            f"{file}: {key} cannot be used ({type(error).__name__}: {error}).",
            "Compare it with a file of training/runs for the same network.",
        ) from error
