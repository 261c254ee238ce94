"""One adapter per network family: how it is built for a body, filled from official files, and asked.

A family is a folder neighbour named as `NetworkSpec.family`; all answer with the same `Prediction`.
"""

from __future__ import annotations

import importlib

from backend.models.adapter import Adapter, Prediction
from backend.models.spec import NetworkSpec

__all__ = ["Adapter", "Prediction", "adapter_of"]


def adapter_of(spec: NetworkSpec) -> Adapter:
    """The adapter of a network's family."""
    return importlib.import_module(f"backend.models.adapter_registry.{spec.family}").ADAPTER
