"""Movement cycles by phase: walking, running, climbing, crawling, pedalling."""

from __future__ import annotations

import numpy as np

from training.synthetic.anatomy import INDEX, SIDE_NAMES
from training.synthetic.archetypes import Archetype, arm, vector


def _cycle(name: str, support: str, phases: int, weight: float = 1.0, noise: float = 0.7, **tracks) -> Archetype:
    """An archetype from tracks: angle name -> ((phase, degrees), ...) or one number, for the left side.

    The right side lags half a cycle, unless `right_NAME` has a track of its own.
    """
    at = np.arange(phases) / phases
    frames = np.repeat(vector(None, None, None, {})[None], phases, 0)
    for name_, track in tracks.items():
        knots = np.array(track, float) if not np.isscalar(track) else np.array([[0.0, track]])

        def read(phase: np.ndarray, knots: np.ndarray = knots) -> np.ndarray:
            # smooth curve through the knots: linear interpolation, averaged over a twelfth of the cycle
            fine = [np.interp((phase + d) % 1, knots[:, 0], knots[:, 1], period=1.0) for d in (-0.04, 0, 0.04)]
            return np.deg2rad(np.mean(fine, 0))

        if name_ in SIDE_NAMES:
            frames[:, INDEX[f"left_{name_}"]] = read(at)
            if f"right_{name_}" not in tracks:
                frames[:, INDEX[f"right_{name_}"]] = read(at + 0.5)
        else:
            frames[:, INDEX[name_]] = read(at)
    return Archetype(name, support, frames.astype(np.float32), weight, noise)


def _swing(forward: float, back: float, elbow: float, more: float) -> dict:
    """Tracks of an arm that swings opposite to its leg: furthest back at phase 0, the leg's heel strike."""
    far, near = arm(-back, 8), arm(forward, 8)
    return {
        "arm_forward": ((0, far["arm_forward"]), (0.5, near["arm_forward"])),
        "arm_up": ((0, far["arm_up"]), (0.25, -80), (0.5, near["arm_up"]), (0.75, -80)),
        "arm_turn_in": ((0, 0), (0.5, near["arm_turn_in"])),
        "elbow_flex": ((0, elbow), (0.5, elbow + more)),
    }


def cycles() -> list[Archetype]:
    """All cycles; hip, knee and ankle curves of gait are rounded from Perry, "Gait Analysis" (1992)."""
    # fmt: off
    return [
        _cycle(
            "walk", "stride", 24, 5.0, **_swing(22, 18, 12, 18), spine_flex=3,
            spine_turn=((0, -5), (0.5, 5)), neck_turn=((0, 4), (0.5, -4)),
            hip_flex=((0, 28), (0.25, 8), (0.5, -12), (0.62, -2), (0.85, 30)),
            knee_flex=((0, 4), (0.14, 18), (0.4, 5), (0.6, 38), (0.72, 62), (0.9, 12)),
            ankle_up=((0, 0), (0.07, -6), (0.45, 10), (0.62, -18), (0.78, 0)),
            toes_up=((0.4, 0), (0.58, 30), (0.66, 0)), hip_turn_out=4, hip_abduct=1,
        ),
        _cycle(
            "stroll", "stride", 24, 2.0, **_swing(12, 10, 15, 8), spine_flex=2,
            hip_flex=((0, 20), (0.25, 6), (0.5, -8), (0.85, 21)),
            knee_flex=((0, 4), (0.14, 12), (0.4, 5), (0.72, 50), (0.9, 12)),
            ankle_up=((0, 0), (0.45, 8), (0.62, -12), (0.78, 0)), hip_turn_out=6, hip_abduct=2,
        ),
        _cycle(
            "jog", "stride", 24, 3.0, **_swing(40, 38, 85, 15), spine_flex=10, root_lean=6,
            spine_turn=((0, -10), (0.5, 10)), neck_flex=-8,
            hip_flex=((0, 38), (0.2, 18), (0.42, -15), (0.6, 10), (0.8, 48)),
            knee_flex=((0, 15), (0.15, 42), (0.35, 20), (0.6, 90), (0.72, 95), (0.92, 18)),
            ankle_up=((0, 5), (0.2, 20), (0.42, -25), (0.7, 0)),
        ),
        _cycle(
            "sprint", "stride", 24, 2.0, **_swing(75, 55, 90, 20), spine_flex=12, root_lean=14,
            spine_turn=((0, -12), (0.5, 12)), neck_flex=-15,
            hip_flex=((0, 48), (0.2, 10), (0.36, -18), (0.55, 25), (0.78, 88)),
            knee_flex=((0, 30), (0.12, 40), (0.3, 15), (0.55, 118), (0.72, 105), (0.9, 30)),
            ankle_up=((0, 0), (0.15, 15), (0.33, -35), (0.7, 5)),
        ),
        _cycle(
            "march", "stride", 16, 1.0, **_swing(60, 30, 10, 15),
            hip_flex=((0, 20), (0.3, 0), (0.5, -8), (0.75, 80)), knee_flex=((0, 5), (0.5, 15), (0.75, 85)),
            ankle_up=((0, 0), (0.5, -10), (0.75, -5)),
        ),
        _cycle(
            "climb stairs", "stride", 16, 1.5, **_swing(25, 15, 30, 20), spine_flex=12, root_lean=5, neck_flex=10,
            hip_flex=((0, 55), (0.3, 15), (0.55, 2), (0.8, 65)),
            knee_flex=((0, 60), (0.3, 15), (0.55, 12), (0.75, 95), (0.9, 75)), ankle_up=((0, 12), (0.55, -15),
                (0.8, 5)),
        ),
        _cycle(
            "sneak", "stride", 16, 0.7, arm_forward=60, arm_up=-55, arm_turn_in=-50, elbow_flex=80, spine_flex=35,
            root_lean=12, neck_flex=-25, hip_flex=((0, 60), (0.5, 15), (0.75, 75)),
            knee_flex=((0, 40), (0.3, 55), (0.5, 50), (0.75, 90)), ankle_up=((0, 0), (0.5, 20), (0.75, 0)),
        ),
        _cycle(
            "side step", "stride", 16, 0.7, arm_forward=50, arm_up=-55, arm_turn_in=-40, elbow_flex=70,
            hip_flex=30, knee_flex=45, ankle_up=15, spine_flex=15, hip_abduct=((0, 35), (0.5, 2)),
            right_hip_abduct=((0, 35), (0.5, 2)),
        ),
        _cycle(
            "crawl", "hands", 16, 1.5, root_lean=88, spine_flex=5, neck_flex=-35,
            hip_flex=((0, 105), (0.5, 72)), knee_flex=((0, 88), (0.5, 95)), ankle_up=-40,
            arm_forward=((0, 75), (0.5, 95)), arm_up=((0, -25), (0.5, 8)), arm_turn_in=-60, elbow_flex=((0, 12),
                (0.5, 8)),
            wrist_flex=-60, forearm_in=55,
        ),
        _cycle(
            "climb ladder", "held", 16, 1.0, hip_flex=((0, 95), (0.5, 25)), knee_flex=((0, 100), (0.5, 25)),
                ankle_up=10,
            arm_forward=((0, 70), (0.5, 45)), arm_up=((0, 10), (0.5, 60)), arm_turn_in=-85, elbow_flex=((0, 95),
                (0.5, 35)),
            root_lean=8, neck_flex=-20, hip_abduct=8,
        ),
        _cycle(
            "cycle", "held", 16, 1.5, hip_flex=((0, 100), (0.5, 42)), knee_flex=((0, 108), (0.5, 30)), ankle_up=-5,
            root_lean=32, spine_flex=35, neck_flex=-38, arm_forward=85, arm_up=-25, arm_turn_in=-70, elbow_flex=25,
            forearm_in=40, wrist_flex=-20,
        ),
        _cycle(
            "swim", "held", 16, 0.8, root_lean=90, neck_flex=-15, hip_flex=((0, 15), (0.5, -10)), knee_flex=((0,
                20), (0.5, 5)),
            ankle_up=-45, arm_forward=((0, 0), (0.25, 85), (0.5, 70), (0.75, -35)),
            arm_up=((0, 85), (0.25, 0), (0.5, -60), (0.75, -40)), arm_turn_in=-30,
            elbow_flex=((0, 10), (0.25, 60), (0.5, 15), (0.75, 80)), spine_turn=((0, -20), (0.5, 20)),
        ),
        _cycle(
            "row", "held", 16, 0.7, hip_flex=((0, 120), (0.5, 70)), right_hip_flex=((0, 120), (0.5, 70)),
            knee_flex=((0, 115), (0.5, 15)), right_knee_flex=((0, 115), (0.5, 15)), spine_flex=((0, 30), (0.5, 0)),
            arm_forward=((0, 85), (0.5, 10)), right_arm_forward=((0, 85), (0.5, 10)), arm_up=((0, -15), (0.5, -55)),
            right_arm_up=((0, -15), (0.5, -55)), arm_turn_in=-70, elbow_flex=((0, 5), (0.5, 105)),
            right_elbow_flex=((0, 5), (0.5, 105)), root_lean=((0, 10), (0.5, -20)),
        ),
        _cycle(
            "jump rope", "air", 12, 0.7, hip_flex=20, knee_flex=30, ankle_up=-20, arm_forward=15, arm_up=-65,
                arm_turn_in=-60,
            elbow_flex=((0, 55), (0.5, 70)), right_elbow_flex=((0, 55), (0.5, 70)), forearm_in=-20,
        ),
    ]
    # fmt: on
