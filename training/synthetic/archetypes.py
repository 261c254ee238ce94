"""Archetypes: named poses and movement cycles as anatomical angles, given in degrees, with the parts in contact.

`support` names the parts that bear the weight and must touch the floor:
feet, foot (one), stride (a step in motion), air, seat (a chair), ground (sitting on it), knees, hands (and feet or
knees), back, front, side (lying), held (by a wall, a bar, a saddle: nothing to check).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.synthetic.anatomy import COUNT, INDEX

Angles = dict[str, float]


def arm(raised: float, out: float = 8, elbow: float = 15, turn: float | None = None, **more: float) -> Angles:
    """Angles of an arm raised forwards by `raised` and outwards by `out` degrees from hanging; the elbow bends up."""
    lift, aside = np.deg2rad(raised), np.deg2rad(out)
    x, y, z = np.sin(aside), -np.cos(lift) * np.cos(aside), np.sin(lift) * np.cos(aside)
    angle = np.rad2deg(np.arccos(np.clip(x, -1, 1))) / max(np.hypot(y, z), 1e-6)
    if turn is None:
        turn = -90 * np.sin(np.clip(lift, -np.pi / 2, np.pi / 2)) * np.cos(aside)
    return {"arm_forward": angle * z, "arm_up": angle * y, "arm_turn_in": turn, "elbow_flex": elbow, **more}


def leg(flex: float, knee: float = 0, abduct: float = 3, turn: float = 5, up: float = 0, **more: float) -> Angles:
    """Angles of a leg, degrees: hip and knee flexion, abduction, lateral rotation (`turn`), dorsiflexion (`up`)."""
    return {"hip_flex": flex, "knee_flex": knee, "hip_abduct": abduct, "hip_turn_out": turn, "ankle_up": up, **more}


@dataclass(frozen=True)
class Archetype:
    """One pose (frames (1, D)) or one cycle (frames (T, D), equally spaced in phase), radians."""

    name: str
    support: str
    frames: np.ndarray
    weight: float = 1.0
    noise: float = 1.0  # factor of the usual variation

    def at(self, phase: np.ndarray) -> np.ndarray:
        """phase (n,) in cycles -> (n, D) angles, linearly interpolated."""
        count = len(self.frames)
        if count == 1:
            return np.repeat(self.frames, len(phase), 0)
        position = (np.asarray(phase, np.float32) % 1) * count
        low = position.astype(int) % count
        share = (position - np.floor(position))[:, None].astype(np.float32)
        return self.frames[low] * (1 - share) + self.frames[(low + 1) % count] * share


@dataclass
class Collection:
    """Collects poses, each given as changes of the standing pose with hanging arms."""

    items: list[Archetype] = field(default_factory=list)

    def pose(
        self,
        name: str,
        support: str,
        both: Angles | None = None,
        left: Angles | None = None,
        right: Angles | None = None,
        weight: float = 1.0,
        noise: float = 1.0,
        **middle: float,
    ) -> None:
        """Add a pose, angles in degrees.  both, left, right: of the limbs; middle: of spine, neck and root."""
        self.items.append(Archetype(name, support, vector(both, left, right, middle)[None], weight, noise))


def vector(both: Angles | None, left: Angles | None, right: Angles | None, middle: Angles) -> np.ndarray:
    """(D,) rad, from degrees by name; limb angles not given are those of standing."""
    values = np.zeros(COUNT, np.float32)
    for side, own in (("left", left), ("right", right)):
        merged = {**arm(3, 10, 15), **leg(0), **(both or {}), **(own or {})}
        for name, value in merged.items():
            values[INDEX[f"{side}_{name}"]] = value
    for name, value in middle.items():
        values[INDEX[name]] = value
    return np.deg2rad(values)
