"""All archetypes: the cycles of movement, the poses on the feet, and those near the floor."""

from __future__ import annotations

from training.synthetic.archetypes import Archetype
from training.synthetic.cycles import cycles
from training.synthetic.low_poses import low_poses
from training.synthetic.upright_poses import upright_poses


def all_archetypes() -> list[Archetype]:
    """All archetypes, cycles first; the order is part of what a seed means."""
    return cycles() + upright_poses() + low_poses()
