"""Named poses and cycles of movement, in degrees of the anatomical angles: what people are found doing.

`support` says what carries the body, and so what has to touch the floor:
feet, foot (one), stride (a step in motion), air, seat (a chair), ground (sitting on it), knees, hands (and feet or
knees), back, front, side (lying), held (by a wall, a bar, a saddle: nothing to check).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.synthetic.anatomy import COUNT, INDEX, SIDE_NAMES

Angles = dict[str, float]


def arm(raised: float, out: float = 8, elbow: float = 15, turn: float | None = None, **more: float) -> Angles:
    """An arm raised forwards by `raised` degrees from hanging and led outwards by `out`; the elbow bends upwards."""
    lift, aside = np.deg2rad(raised), np.deg2rad(out)
    x, y, z = np.sin(aside), -np.cos(lift) * np.cos(aside), np.sin(lift) * np.cos(aside)
    angle = np.rad2deg(np.arccos(np.clip(x, -1, 1))) / max(np.hypot(y, z), 1e-6)
    if turn is None:
        turn = -90 * np.sin(np.clip(lift, -np.pi / 2, np.pi / 2)) * np.cos(aside)
    return {"arm_forward": angle * z, "arm_up": angle * y, "arm_turn_in": turn, "elbow_flex": elbow, **more}


def leg(flex: float, knee: float = 0, abduct: float = 3, turn: float = 5, up: float = 0, **more: float) -> Angles:
    """A leg: hip and knee flexion, abduction, turn outwards, ankle's dorsiflexion."""
    return {"hip_flex": flex, "knee_flex": knee, "hip_abduct": abduct, "hip_turn_out": turn, "ankle_up": up, **more}


@dataclass(frozen=True)
class Archetype:
    """One pose (frames (1, D)) or one cycle (frames (T, D), equally spaced in phase), radians."""

    name: str
    support: str
    frames: np.ndarray
    weight: float = 1.0
    noise: float = 1.0  # of the usual variation

    def at(self, phase: np.ndarray) -> np.ndarray:
        """phase (n,) in cycles -> (n, D)."""
        count = len(self.frames)
        if count == 1:
            return np.repeat(self.frames, len(phase), 0)
        place = (np.asarray(phase, np.float32) % 1) * count
        low = place.astype(int) % count
        share = (place - np.floor(place))[:, None].astype(np.float32)
        return self.frames[low] * (1 - share) + self.frames[(low + 1) % count] * share


@dataclass
class _Collection:
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
        self.items.append(Archetype(name, support, _vector(both, left, right, middle)[None], weight, noise))


def _vector(both: Angles | None, left: Angles | None, right: Angles | None, middle: Angles) -> np.ndarray:
    values = np.zeros(COUNT, np.float32)
    for side, own in (("left", left), ("right", right)):
        merged = {**arm(3, 10, 15), **leg(0), **(both or {}), **(own or {})}
        for name, value in merged.items():
            values[INDEX[f"{side}_{name}"]] = value
    for name, value in middle.items():
        values[INDEX[name]] = value
    return np.deg2rad(values)


def _cycle(name: str, support: str, phases: int, weight: float = 1.0, noise: float = 0.7, **tracks) -> Archetype:
    """Tracks: anatomical name -> ((phase, degrees), ...), of the left side; the right one is half a cycle later.

    A name with `right_` gives that side its own track; names of the middle have one.
    """
    at = np.arange(phases) / phases
    frames = np.repeat(_vector(None, None, None, {})[None], phases, 0)
    for name_, track in tracks.items():
        knots = np.array(track, float) if not np.isscalar(track) else np.array([[0.0, track]])

        def read(phase: np.ndarray, knots: np.ndarray = knots) -> np.ndarray:
            # a smooth curve through the knots: interpolate, then average over a twelfth of the cycle
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
    """An arm that swings against its leg: at phase 0, the leg's heel strike, it is furthest back."""
    far, near = arm(-back, 8), arm(forward, 8)
    return {
        "arm_forward": ((0, far["arm_forward"]), (0.5, near["arm_forward"])),
        "arm_up": ((0, far["arm_up"]), (0.25, -80), (0.5, near["arm_up"]), (0.75, -80)),
        "arm_turn_in": ((0, 0), (0.5, near["arm_turn_in"])),
        "elbow_flex": ((0, elbow), (0.5, elbow + more)),
    }


def cycles() -> list[Archetype]:
    """Locomotion by phase; hip, knee and ankle curves after textbooks' gait analysis (Perry 1992), rounded."""
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
            knee_flex=((0, 60), (0.3, 15), (0.55, 12), (0.75, 95), (0.9, 75)), ankle_up=((0, 12), (0.55, -15), (0.8, 5)),
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
            arm_forward=((0, 75), (0.5, 95)), arm_up=((0, -25), (0.5, 8)), arm_turn_in=-60, elbow_flex=((0, 12), (0.5, 8)),
            wrist_flex=-60, forearm_in=55,
        ),
        _cycle(
            "climb ladder", "held", 16, 1.0, hip_flex=((0, 95), (0.5, 25)), knee_flex=((0, 100), (0.5, 25)), ankle_up=10,
            arm_forward=((0, 70), (0.5, 45)), arm_up=((0, 10), (0.5, 60)), arm_turn_in=-85, elbow_flex=((0, 95), (0.5, 35)),
            root_lean=8, neck_flex=-20, hip_abduct=8,
        ),
        _cycle(
            "cycle", "held", 16, 1.5, hip_flex=((0, 100), (0.5, 42)), knee_flex=((0, 108), (0.5, 30)), ankle_up=-5,
            root_lean=32, spine_flex=35, neck_flex=-38, arm_forward=85, arm_up=-25, arm_turn_in=-70, elbow_flex=25,
            forearm_in=40, wrist_flex=-20,
        ),
        _cycle(
            "swim", "held", 16, 0.8, root_lean=90, neck_flex=-15, hip_flex=((0, 15), (0.5, -10)), knee_flex=((0, 20), (0.5, 5)),
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
            "jump rope", "air", 12, 0.7, hip_flex=20, knee_flex=30, ankle_up=-20, arm_forward=15, arm_up=-65, arm_turn_in=-60,
            elbow_flex=((0, 55), (0.5, 70)), right_elbow_flex=((0, 55), (0.5, 70)), forearm_in=-20,
        ),
    ]  # fmt: skip


def poses() -> list[Archetype]:
    """The single poses."""
    c = _Collection()
    p = c.pose
    # standing
    p("stand", "feet", weight=4)
    p("stand at ease", "feet", {**leg(0, 0, 10), **arm(-15, 10, 60, 60)})
    p("contrapposto", "feet", left=leg(0, 0, -4), right={**leg(12, 22, 12, 18, 8)}, spine_side=-8, root_side=6, weight=2)
    p("attention", "feet", {**arm(0, 4, 3), **leg(0, 0, 0, 12)})
    p("T", "feet", {"arm_forward": 0, "arm_up": 0, "arm_turn_in": 0, "elbow_flex": 3})
    p("A", "feet", {**arm(0, 40, 5), **leg(0, 0, 10)})
    p("arms crossed", "feet", {**arm(42, -2, 105, 10, forearm_in=20)}, right={**arm(52, -2, 108, 12)}, weight=2, noise=0.4)
    p("hands on hips", "feet", {**arm(-22, 42, 100, 45, wrist_flex=-20, forearm_in=30)}, weight=2)
    p("hands in pockets", "feet", {**arm(-12, 22, 42, 15)})
    p("hands behind back", "feet", {**arm(-30, 14, 55, 75)}, noise=0.6)
    p("hands behind head", "feet", {"arm_forward": 25, "arm_up": 45, "arm_turn_in": -85, "elbow_flex": 135}, neck_flex=5)
    p("arms up", "feet", {"arm_forward": 20, "arm_up": 72, "arm_turn_in": -70, "elbow_flex": 10, "collar_up": 22}, weight=1.5)
    p("Y", "feet", {"arm_forward": 10, "arm_up": 48, "arm_turn_in": -45, "elbow_flex": 8, "collar_up": 15})
    p("stretch", "feet", {"arm_forward": 15, "arm_up": 82, "arm_turn_in": -80, "elbow_flex": 20, "collar_up": 28}, spine_flex=-18)
    p("wave", "feet", left={"arm_forward": 25, "arm_up": 15, "arm_turn_in": -88, "elbow_flex": 80}, weight=1.5)
    p("point ahead", "feet", left=arm(88, 5, 6))
    p("point aside", "feet", left={"arm_forward": 10, "arm_up": 0, "arm_turn_in": -20, "elbow_flex": 5}, neck_turn=45)
    p("phone", "feet", left={**arm(38, 18, 138, -30)}, neck_side=8, weight=1.5)
    p("look at phone", "feet", left=arm(35, 5, 95, -50), right=arm(30, 5, 90, -40), neck_flex=30, spine_flex=8, weight=1.5)
    p("salute", "feet", left={"arm_forward": 35, "arm_up": -2, "arm_turn_in": -60, "elbow_flex": 140})
    p("clap", "feet", arm(48, 6, 72, -25), weight=1)
    p("carry", "feet", arm(25, 10, 88, -35, forearm_in=-60), spine_flex=-6)
    p("drink", "feet", left=arm(55, 12, 128, -60), neck_flex=-15)
    p("photograph", "feet", arm(60, 18, 120, -60), neck_flex=5)
    p("push wall", "feet", {**arm(85, 8, 20, wrist_flex=-60)}, left=leg(35, 35, 3, 5, 20), right=leg(-15, 10, 3, 5, 20), root_lean=12, spine_flex=5)
    p("pull rope", "feet", left={**arm(75, 4, 30), **leg(45, 45, 8)}, right={**arm(35, 15, 100), **leg(10, 50, 8)}, spine_flex=-5, spine_turn=-25)
    p("shrug", "feet", {**arm(15, 25, 95, -70, forearm_in=-70), "collar_up": 28})
    p("think", "feet", left={**arm(45, 2, 135, -20)}, right=arm(40, -4, 88, 10), neck_flex=12, noise=0.5)
    # bending and squatting
    p("bow", "feet", {**leg(55)}, spine_flex=25, root_lean=40, neck_flex=5)
    p("touch toes", "feet", {**arm(95, 5, 5), **leg(95, 5)}, spine_flex=65, root_lean=60, neck_flex=10)
    p("pick up", "feet", {**leg(85, 60, 6, 8, 15)}, left=arm(75, 5, 10), right=arm(40, 10, 40), spine_flex=45, root_lean=45)
    p("lift box", "feet", {**arm(65, 5, 25), **leg(85, 80, 12, 12, 20)}, spine_flex=30, root_lean=35)
    p("chair pose", "feet", {**leg(75, 80, 3, 3, 22), "arm_forward": 45, "arm_up": 55, "arm_turn_in": -80, "elbow_flex": 8}, root_lean=35, spine_flex=5)
    p("squat", "feet", {**arm(80, 5, 20), **leg(100, 110, 18, 20, 28)}, root_lean=32, spine_flex=25, weight=1.5)
    p("deep squat", "feet", {**arm(70, 8, 60), **leg(125, 138, 22, 25, 30)}, root_lean=28, spine_flex=45)
    p("sumo", "feet", {**arm(35, 20, 60), **leg(50, 60, 45, 40, 15)}, root_lean=20, spine_flex=15)
    p("side bend", "feet", {**leg(0, 0, 14)}, left={"arm_forward": 5, "arm_up": 75, "arm_turn_in": -60, "elbow_flex": 15}, spine_side=-32, neck_side=-15)
    p("triangle", "feet", left={"arm_forward": 5, "arm_up": 5, "elbow_flex": 3, "arm_turn_in": 0, **leg(0, 0, 38)}, right={"arm_forward": 5, "arm_up": 0, "elbow_flex": 3, "arm_turn_in": 0, **leg(10, 0, 40, 40)}, spine_side=-30, root_side=-35)
    p("twist", "feet", {**leg(5, 10, 8), "arm_forward": 20, "arm_up": -10, "arm_turn_in": 0, "elbow_flex": 20}, spine_turn=40, neck_turn=35)
    # lunges, sport, fight
    p("lunge", "feet", left=leg(85, 88, 3, 5, 8), right=leg(-15, 50, 3, 5, 25, toes_up=40), weight=1.5)
    p("warrior", "feet", {"arm_forward": 0, "arm_up": 0, "arm_turn_in": 0, "elbow_flex": 3}, left=leg(70, 80, 30, 50, 8), right=leg(-10, 5, 32, 30, 5), neck_turn=60)
    p("side lunge", "feet", left=leg(75, 95, 20, 20, 20), right=leg(15, 5, 50, 10), root_lean=25, spine_flex=15)
    p("guard", "feet", left={**arm(48, 8, 125, -50), **leg(22, 25, 8)}, right={**arm(40, 10, 135, -45), **leg(-5, 22, 8, 25)}, spine_flex=10, spine_turn=-18, weight=1.5)
    p("jab", "feet", left={**arm(88, 4, 5), **leg(28, 28, 8), "collar_forward": 20}, right={**arm(40, 10, 135, -45), **leg(-8, 25, 8, 25)}, spine_turn=-30, spine_flex=8)
    p("hook", "feet", left={"arm_forward": 70, "arm_up": -5, "arm_turn_in": 0, "elbow_flex": 85, **leg(20, 30, 8)}, right={**arm(40, 10, 135, -45), **leg(-5, 25, 8, 25)}, spine_turn=-20)
    p("front kick", "foot", {**arm(35, 12, 100, -45)}, left=leg(95, 12, 3, 5, 10), right=leg(3, 12), root_lean=-12)
    p("side kick", "foot", {**arm(35, 12, 100, -45)}, left=leg(35, 10, 55, -10, 10), right=leg(0, 10, 25, 20), root_side=-35, spine_side=10)
    p("football kick", "stride", left={**leg(55, 20, 5), **arm(-20, 30, 20)}, right={**leg(10, 22), "arm_forward": 30, "arm_up": -15, "elbow_flex": 15}, root_lean=-10, spine_turn=15, spine_flex=12)
    p("kick back swing", "stride", left={**leg(-20, 85, 5), **arm(40, 40, 15)}, right={**leg(35, 35), **arm(-20, 40, 15)}, root_lean=8, spine_turn=-18)
    p("throw cocked", "stride", left={"arm_forward": -20, "arm_up": 10, "arm_turn_in": -92, "elbow_flex": 95, **leg(-12, 25)}, right={**arm(85, 15, 15), **leg(55, 30)}, spine_turn=35, spine_flex=-8, weight=1.3)
    p("throw released", "stride", left={**arm(70, 2, 15, -30), **leg(-10, 35, 3, 5, -15)}, right={**arm(-10, 20, 70), **leg(50, 45)}, spine_turn=-32, spine_flex=35, root_lean=12)
    p("tennis serve", "stride", left={"arm_forward": -5, "arm_up": 55, "arm_turn_in": -90, "elbow_flex": 60, **leg(0, 20)}, right={"arm_forward": 55, "arm_up": 55, "arm_turn_in": -70, "elbow_flex": 10, **leg(20, 25)}, spine_flex=-18, neck_flex=-30)
    p("tennis forehand", "feet", left={"arm_forward": -15, "arm_up": -25, "arm_turn_in": -40, "elbow_flex": 40, **leg(30, 40, 18, 20)}, right={**arm(75, 5, 45, 0), **leg(35, 40, 18)}, spine_turn=38, spine_flex=12)
    p("baseball bat", "feet", left={**arm(70, -12, 65, 0), **leg(25, 35, 20)}, right={"arm_forward": 60, "arm_up": -15, "arm_turn_in": -40, "elbow_flex": 105, **leg(25, 35, 20)}, spine_turn=-35, spine_flex=15, neck_turn=60, noise=0.7)
    p("golf", "feet", left={**arm(50, -8, 8, 0)}, right={**arm(52, -6, 18, 0)}, both=leg(30, 20, 10), root_lean=18, spine_flex=22, neck_flex=20, noise=0.6)
    p("basketball shot", "feet", left={"arm_forward": 75, "arm_up": 30, "arm_turn_in": -90, "elbow_flex": 75, **leg(15, 25)}, right={"arm_forward": 70, "arm_up": 25, "arm_turn_in": -80, "elbow_flex": 90, **leg(15, 25)}, neck_flex=-15)
    p("defend", "feet", {**leg(55, 60, 25, 20, 18), "arm_forward": 30, "arm_up": -25, "arm_turn_in": -60, "elbow_flex": 45}, root_lean=22, spine_flex=20, neck_flex=-20)
    p("ski", "feet", {**arm(48, 20, 55), **leg(50, 60, 4, 2, 25)}, root_lean=25, spine_flex=28, neck_flex=-25)
    p("surf", "feet", left={"arm_forward": 15, "arm_up": -10, "elbow_flex": 30, "arm_turn_in": -30, **leg(45, 55, 28, 30, 18)}, right={"arm_forward": -5, "arm_up": -15, "elbow_flex": 35, "arm_turn_in": -40, **leg(40, 55, 30, 10, 18)}, spine_flex=20, root_lean=15, spine_turn=30, neck_turn=50)
    p("start block", "hands", {**arm(80, 12, 5), "wrist_flex": -50}, left=leg(110, 100, 3, 3, 15, toes_up=40), right=leg(75, 75, 3, 3, 10, toes_up=40), root_lean=70, spine_flex=35, neck_flex=-20)
    p("lift weight overhead", "feet", {"arm_forward": 10, "arm_up": 70, "arm_turn_in": -80, "elbow_flex": 12, "collar_up": 28, "wrist_flex": -30, **leg(5, 8, 14, 12)})
    p("deadlift", "feet", {**arm(48, 6, 3), **leg(75, 55, 8, 8, 12)}, root_lean=48, spine_flex=12, neck_flex=-15)
    # one leg, dance, yoga
    p("tree", "foot", {"arm_forward": 40, "arm_up": 70, "arm_turn_in": -88, "elbow_flex": 35, "collar_up": 20}, left=leg(65, 125, 45, 50, -10), right=leg(0), noise=0.5)
    p("arabesque", "foot", left={**leg(-25, 5, 5, 20, -40), "arm_forward": 0, "arm_up": 0, "elbow_flex": 8}, right={**leg(50, 3), **arm(100, 8, 6)}, root_lean=50, spine_flex=-25, neck_flex=-25)
    p("passe", "foot", {"arm_forward": 40, "arm_up": -10, "arm_turn_in": -30, "elbow_flex": 35}, left=leg(75, 120, 40, 40, -45), right=leg(0, 0, 2, 20, -30))
    p("knee up", "foot", left={**leg(95, 95, 3), **arm(-20, 10, 80)}, right={**leg(0, 5), **arm(45, 8, 90)})
    p("quad stretch", "foot", left={**leg(0, 135, 2), **arm(-35, 8, 30, 20)}, right={**leg(0, 5), **arm(90, 20, 5)}, noise=0.6)
    p("flamenco", "feet", left={"arm_forward": 25, "arm_up": 70, "arm_turn_in": -60, "elbow_flex": 50, **leg(25, 40, 3, 20)}, right={**arm(20, 25, 75, 30), **leg(0)}, spine_side=12, spine_turn=18, neck_turn=-30)
    p("disco", "feet", left={"arm_forward": 10, "arm_up": 50, "arm_turn_in": -40, "elbow_flex": 5, **leg(0, 5, 20, 10)}, right={**arm(10, 35, 80, 40), **leg(10, 25, 12, 30)}, root_side=-8, spine_side=12, neck_turn=30)
    p("waltz", "feet", left={"arm_forward": 25, "arm_up": -5, "arm_turn_in": -50, "elbow_flex": 60}, right={"arm_forward": 65, "arm_up": -20, "arm_turn_in": -10, "elbow_flex": 80}, spine_flex=-8, neck_turn=30)
    p("ballet fifth", "feet", {"arm_forward": 50, "arm_up": 60, "arm_turn_in": -70, "elbow_flex": 50, **leg(0, 0, 0, 45)}, noise=0.6)
    p("hip hop", "feet", left={**arm(60, 20, 100, -30), **leg(35, 50, 28, 20, 15)}, right={**arm(-10, 35, 90, 10), **leg(25, 40, 25, 20, 10)}, spine_flex=25, root_lean=12, spine_turn=-18)
    p("downward dog", "hands", {"arm_forward": 55, "arm_up": 60, "arm_turn_in": -70, "elbow_flex": 5, "wrist_flex": -60, **leg(100, 6, 4, 3, 22)}, root_lean=130, spine_flex=5, neck_flex=10)
    p("plank", "hands", {**arm(88, 6, 5), "wrist_flex": -70, **leg(2, 2, 4, 0, 20, toes_up=45)}, root_lean=72, neck_flex=-10)
    p("push-up low", "hands", {**arm(12, 40, 105, -20), "wrist_flex": -70, **leg(0, 2, 4, 0, 20, toes_up=45)}, root_lean=86, neck_flex=-20)
    p("cobra", "front", {**arm(20, 12, 30), "wrist_flex": -60, **leg(-15, 5, 4, 5, -45)}, root_lean=80, spine_flex=-30, neck_flex=-35)
    p("bridge", "hands", {"arm_forward": 10, "arm_up": 85, "arm_turn_in": -80, "elbow_flex": 10, "wrist_flex": -65, "collar_up": 20, **leg(-20, 88, 8, 5, 5)}, root_lean=-95, spine_flex=-30, neck_flex=-45, noise=0.6, weight=0.6)
    p("handstand", "held", {"arm_forward": 8, "arm_up": 85, "arm_turn_in": -80, "elbow_flex": 3, "wrist_flex": -65, "collar_up": 25, **leg(0, 3, 2, 5, -40)}, root_lean=178, neck_flex=-30, weight=0.5)
    p("hang", "held", {"arm_forward": 12, "arm_up": 85, "arm_turn_in": -70, "elbow_flex": 8, "collar_up": 30, **leg(5, 15, 3, 5, -30)}, weight=0.7)
    p("pull-up", "held", {"arm_forward": 25, "arm_up": -5, "arm_turn_in": -90, "elbow_flex": 125, **leg(10, 40, 3, 5, -30)}, weight=0.6)
    p("climb wall", "held", left={"arm_forward": 40, "arm_up": 60, "arm_turn_in": -85, "elbow_flex": 30, **leg(20, 30, 20, 30)}, right={"arm_forward": 55, "arm_up": 15, "arm_turn_in": -90, "elbow_flex": 90, **leg(95, 105, 40, 40)}, root_lean=5, neck_flex=-25)
    # jumps
    p("star jump", "air", {"arm_forward": 5, "arm_up": 40, "arm_turn_in": -30, "elbow_flex": 8, **leg(5, 10, 38, 10, -35)})
    p("tuck jump", "air", {**arm(75, 8, 50), **leg(110, 120, 6, 5, -20)}, spine_flex=25)
    p("leap", "air", left={**leg(80, 20, 3, 5, -30), **arm(20, 30, 15)}, right={**leg(-25, 25, 3, 5, -40), **arm(90, 20, 15)}, root_lean=8)
    p("header", "air", {"arm_forward": 20, "arm_up": -25, "elbow_flex": 60, "arm_turn_in": -40, **leg(-10, 45, 6, 5, -35)}, spine_flex=-22, neck_flex=-20)
    p("dunk", "air", left={"arm_forward": 25, "arm_up": 80, "arm_turn_in": -80, "elbow_flex": 15, "collar_up": 28, **leg(20, 55)}, right={**arm(30, 30, 50), **leg(60, 90)}, spine_turn=-12)
    # sitting
    p("sit", "seat", {**arm(22, 8, 60, -20), **leg(85, 88, 8, 6)}, root_lean=-4, weight=3)
    p("sit hands on knees", "seat", {**arm(38, 8, 38), **leg(85, 88, 12, 8)}, spine_flex=10, root_lean=-2, weight=1.5)
    p("sit legs crossed", "seat", {**arm(20, 10, 70, 10)}, left=leg(95, 75, -22, 0), right=leg(85, 92, 4, 4), root_lean=-8, noise=0.6)
    p("sit ankle on knee", "seat", {**arm(20, 14, 65)}, left=leg(85, 105, 38, 55), right=leg(85, 88, 6), root_lean=-10, noise=0.5)
    p("sit lean back", "seat", {**arm(5, 25, 50), **leg(70, 55, 12, 12)}, root_lean=-25, spine_flex=15, neck_flex=15)
    p("sit lean forward", "seat", {**arm(45, 4, 75, -10), **leg(105, 95, 16, 12, 5)}, root_lean=15, spine_flex=35, neck_flex=-10)
    p("type", "seat", {**arm(28, 6, 78, -10, forearm_in=40), **leg(85, 85, 6)}, spine_flex=12, neck_flex=12, weight=1.5)
    p("drive", "seat", {**arm(65, 8, 30), **leg(80, 55, 8, 8)}, root_lean=-15)
    p("play piano", "seat", {**arm(42, 10, 70, -5, forearm_in=60), **leg(88, 85, 8)}, spine_flex=12, neck_flex=15)
    p("play guitar", "seat", left={"arm_forward": 40, "arm_up": -45, "arm_turn_in": -60, "elbow_flex": 95}, right=arm(12, 28, 88, 30), both=leg(85, 88, 8), spine_flex=12, neck_flex=18, neck_turn=20)
    p("ride horse", "held", {**arm(30, 8, 75, -25), **leg(55, 60, 35, 10, 5)}, root_lean=2)
    p("sit cross-legged", "ground", {**arm(25, 22, 45, -30), **leg(88, 128, 42, 52, -10)}, root_lean=-8, spine_flex=22, noise=0.6, weight=1.5)
    p("long sit", "ground", {**arm(-28, 14, 8), **leg(82, 6, 5, 6)}, root_lean=-14, spine_flex=8)
    p("sit and reach", "ground", {**arm(95, 4, 8), **leg(110, 5, 3, 3)}, root_lean=18, spine_flex=50)
    p("hug knees", "ground", {**arm(58, -2, 60, 5), **leg(118, 125, 3, 3, -10)}, root_lean=-12, spine_flex=42, neck_flex=15, noise=0.5)
    p("side sit", "ground", left=leg(80, 120, 12, 45), right=leg(80, 120, 25, -40), both=arm(0, 25, 20), root_lean=-5, spine_side=8)
    p("straddle", "ground", {**arm(60, 15, 10), **leg(95, 3, 48, 10)}, root_lean=5, spine_flex=30)
    p("boat", "ground", {**arm(80, 5, 5), **leg(100, 15, 3)}, root_lean=-42, spine_flex=10)
    # kneeling
    p("kneel upright", "knees", {**leg(0, 90, 5, 3, -45)}, weight=1)
    p("kneel on heels", "knees", {**arm(20, 8, 40), **leg(75, 148, 6, 4, -48)}, spine_flex=8, root_lean=0)
    p("kneel one knee", "knees", left=leg(88, 90, 8, 6), right=leg(5, 95, 4, 3, -20, toes_up=30), weight=1.5)
    p("propose", "knees", left=leg(90, 92, 8, 6), right=leg(3, 95, 4, 3, -20, toes_up=30), both=arm(50, 2, 70, -20))
    p("pray", "knees", {**arm(48, 6, 110, -25), **leg(10, 98, 4, 3, -45)}, neck_flex=20)
    p("child's pose", "knees", {"arm_forward": 50, "arm_up": 60, "arm_turn_in": -50, "elbow_flex": 15, **leg(125, 145, 12, 8, -48)}, root_lean=72, spine_flex=45)
    p("all fours", "hands", {**arm(88, 4, 6), "wrist_flex": -65, **leg(88, 90, 4, 2, -45)}, root_lean=86, neck_flex=-15)
    p("garden", "knees", {**arm(75, 8, 20), **leg(75, 105, 8, 3, -40)}, root_lean=48, spine_flex=40)
    # lying
    p("lie on back", "back", {**arm(-4, 18, 10), **leg(2, 3, 8, 15, -25)}, root_lean=-90, weight=1.5)
    p("lie knees up", "back", {**arm(2, 25, 20), **leg(55, 100, 6, 4, 0)}, root_lean=-90)
    p("lie arms under head", "back", {"arm_forward": 15, "arm_up": 40, "arm_turn_in": -85, "elbow_flex": 130, **leg(3, 5, 6, 12, -20)}, root_lean=-90, neck_flex=20)
    p("sunbathe", "back", {"arm_forward": 0, "arm_up": 25, "arm_turn_in": -70, "elbow_flex": 60, **leg(4, 8, 14, 20, -20)}, root_lean=-90)
    p("sit-up", "back", {**arm(75, 5, 20), **leg(85, 95, 5, 3)}, root_lean=-72, spine_flex=62, neck_flex=30)
    p("lie on front", "front", {**arm(-10, 22, 15, 30), **leg(-3, 12, 8, 30, -50)}, root_lean=90, neck_turn=55, noise=0.6)
    p("read on front", "front", {**arm(75, 12, 95, -40), **leg(-8, 40, 5, 6, -45)}, noise=0.6, root_lean=80, spine_flex=-25, neck_flex=-25)
    p("sleep on front", "front", left={"arm_forward": 10, "arm_up": 40, "arm_turn_in": -30, "elbow_flex": 95, **leg(45, 60, 35, 30, -30)}, right={**arm(-10, 15, 20, 30), **leg(0, 5, 5, 5, -45)}, root_lean=90, neck_turn=60)
    p("lie on side", "side", left={**arm(45, 2, 60), **leg(45, 60, 2)}, right={**arm(70, 0, 60), **leg(35, 50, 0)}, root_side=-90, weight=1)
    p("foetal", "side", {**arm(55, -2, 105, -20), **leg(105, 115, 2, 0, -15)}, root_side=-90, spine_flex=45, neck_flex=25)
    p("side plank", "held", left={"arm_forward": 0, "arm_up": 5, "arm_turn_in": -10, "elbow_flex": 3}, right={"arm_forward": 5, "arm_up": -5, "elbow_flex": 5, "wrist_flex": -60}, root_side=-68, noise=0.6, weight=0.6)
    p("fallen", "side", left={**arm(60, 20, 50), **leg(60, 70, 10)}, right={**arm(40, 10, 80), **leg(20, 40, 5)}, root_side=-80, root_lean=15, spine_turn=25, noise=1.2)
    return c.items


def everything() -> list[Archetype]:
    """All archetypes, cycles first; the order is part of what a seed means."""
    return cycles() + poses()
