"""The list of all archetypes but the deep poses."""

from __future__ import annotations

from training.synthetic.archetypes import Archetype
from training.synthetic.cycles import cycles
from training.synthetic.low_poses import low_poses
from training.synthetic.upright_poses import upright_poses


def all_archetypes() -> list[Archetype]:
    """Cycles, upright and low poses; a seed's data depend on the order."""
    return cycles() + upright_poses() + low_poses()
