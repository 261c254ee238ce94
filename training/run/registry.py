"""The modules and preparers that run files name.  They are imported on use."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from backend.errors import BadInput
from training.schema import read_arguments

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


def resolve(table: Mapping[str, str], name: str, file: str, key: str) -> Callable[..., Any]:
    """The class of a name in `table`.  Raises BadInput `bad_run` with the known names."""
    if name not in table:
        raise BadInput("bad_run", f"{file}: {key} is {name!r}, which is not known.", f"Known are: {', '.join(table)}.")
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def has_parameter(factory: Callable[..., Any], name: str) -> bool:
    """Whether `factory` has a parameter of that name."""
    return name in inspect.signature(factory).parameters


def instantiate(factory: Callable[..., Any], settings: Mapping[str, Any], file: str, key: str, **given: Any) -> Any:
    """`factory(**settings, **given)`, with the settings read by its signature.

    Raises BadInput `bad_run`, also for errors raised inside `factory`.
    """
    values = read_arguments(factory, settings, file, key, given)
    try:
        return factory(**values, **given)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BadInput(
            "bad_run",
            f"{file}: {key} cannot be used ({type(error).__name__}: {error}).",
            "Compare it with a file of training/runs for the same network.",
        ) from error
