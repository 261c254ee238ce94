"""Archetypes near the floor: sitting, kneeling, lying."""

from __future__ import annotations

from training.synthetic.archetypes import Archetype, Collection, arm, leg


def low_poses() -> list[Archetype]:
    """Archetypes in degrees; see `archetypes`."""
    c = Collection()
    p = c.pose
    # fmt: off
    # sitting
    p("sit", "seat", {**arm(22, 8, 60, -20), **leg(85, 88, 8, 6)}, root_lean=-4, weight=3)
    p("sit hands on knees", "seat", {**arm(38, 8, 38), **leg(85, 88, 12, 8)}, spine_flex=10, root_lean=-2,
        weight=1.5)
    p("sit legs crossed", "seat", {**arm(20, 10, 70, 10)}, left=leg(95, 75, -22, 0), right=leg(85, 92, 4, 4),
        root_lean=-8, noise=0.6)
    p("sit ankle on knee", "seat", {**arm(20, 14, 65)}, left=leg(85, 105, 38, 55), right=leg(85, 88, 6),
        root_lean=-10, noise=0.5)
    p("sit lean back", "seat", {**arm(5, 25, 50), **leg(70, 55, 12, 12)}, root_lean=-25, spine_flex=15,
        neck_flex=15)
    p("sit lean forward", "seat", {**arm(45, 4, 75, -10), **leg(105, 95, 16, 12, 5)}, root_lean=15, spine_flex=35,
        neck_flex=-10)
    p("type", "seat", {**arm(28, 6, 78, -10, forearm_in=40), **leg(85, 85, 6)}, spine_flex=12, neck_flex=12,
        weight=1.5)
    p("drive", "seat", {**arm(65, 8, 30), **leg(80, 55, 8, 8)}, root_lean=-15)
    p("play piano", "seat", {**arm(42, 10, 70, -5, forearm_in=60), **leg(88, 85, 8)}, spine_flex=12, neck_flex=15)
    p("play guitar", "seat", left={"arm_forward": 40, "arm_up": -45, "arm_turn_in": -60, "elbow_flex": 95},
        right=arm(12, 28, 88, 30), both=leg(85, 88, 8), spine_flex=12, neck_flex=18, neck_turn=20)
    p("ride horse", "held", {**arm(30, 8, 75, -25), **leg(55, 60, 35, 10, 5)}, root_lean=2)
    p("sit cross-legged", "ground", {**arm(25, 22, 45, -30), **leg(88, 128, 42, 52, -10)}, root_lean=-8,
        spine_flex=22, noise=0.6, weight=4)
    p("long sit", "ground", {**arm(-28, 14, 8), **leg(82, 6, 5, 6)}, root_lean=-14, spine_flex=8)
    p("sit and reach", "ground", {**arm(95, 4, 8), **leg(110, 5, 3, 3)}, root_lean=18, spine_flex=50)
    p("hug knees", "ground", {**arm(58, -2, 60, 5), **leg(118, 125, 3, 3, -10)}, root_lean=-12, spine_flex=42,
        neck_flex=15, noise=0.5, weight=3)
    p("side sit", "ground", left=leg(75, 110, 10, 50), right=leg(70, 118, 35, -38), both=arm(0, 30, 20), root_lean=-5,
        spine_side=8, noise=0.6, weight=5)
    p("straddle", "ground", {**arm(60, 15, 10), **leg(95, 3, 48, 10)}, root_lean=5, spine_flex=30)
    p("boat", "ground", {**arm(80, 5, 5), **leg(100, 15, 3)}, root_lean=-42, spine_flex=10)
    # kneeling
    p("kneel upright", "knees", {**leg(0, 90, 5, 3, -45)}, weight=1)
    p("kneel on heels", "knees", {**arm(20, 8, 40), **leg(75, 148, 6, 4, -48)}, spine_flex=8, root_lean=0)
    p("kneel one knee", "knees", left=leg(88, 90, 8, 6), right=leg(5, 95, 4, 3, -20, toes_up=30), weight=3)
    p("propose", "knees", left=leg(90, 92, 8, 6), right=leg(3, 95, 4, 3, -20, toes_up=30), both=arm(50, 2, 70, -20))
    p("pray", "knees", {**arm(48, 6, 110, -25), **leg(10, 98, 4, 3, -45)}, neck_flex=20)
    p("child's pose", "knees", {"arm_forward": 35, "arm_up": 78, "arm_turn_in": -50, "elbow_flex": 12, "collar_up": 20,
        **leg(128, 146, 14, 8, -48)}, root_lean=78, spine_flex=38, neck_flex=10, noise=0.5, weight=3)
    p("all fours", "hands", {**arm(88, 4, 6), "wrist_flex": -65, **leg(88, 90, 4, 2, -45)}, root_lean=86,
        neck_flex=-15)
    p("garden", "knees", {**arm(75, 8, 20), **leg(75, 105, 8, 3, -40)}, root_lean=48, spine_flex=40)
    # lying
    p("lie on back", "back", {**arm(-4, 18, 10), **leg(2, 3, 8, 15, -25)}, root_lean=-90, weight=1.5)
    p("lie knees up", "back", {**arm(2, 25, 20), **leg(55, 100, 6, 4, 0)}, root_lean=-90)
    p("lie arms under head", "back", {"arm_forward": 15, "arm_up": 40, "arm_turn_in": -85, "elbow_flex": 130,
        **leg(3, 5, 6, 12, -20)}, root_lean=-90, neck_flex=20)
    p("sunbathe", "back", {"arm_forward": 0, "arm_up": 25, "arm_turn_in": -70, "elbow_flex": 60, **leg(4, 8, 14,
        20, -20)}, root_lean=-90)
    p("sit-up", "ground", {**arm(75, 5, 20), **leg(85, 95, 5, 3)}, root_lean=-35, spine_flex=50, neck_flex=25)
    p("lie on front", "front", {**arm(-10, 22, 15, 30), **leg(-3, 12, 8, 30, -50)}, root_lean=90, neck_turn=55,
        noise=0.6)
    p("read on front", "front", {**arm(75, 12, 95, -40), **leg(-8, 40, 5, 6, -45)}, noise=0.6, root_lean=80,
        spine_flex=-25, neck_flex=-25)
    p("sleep on front", "front", left={"arm_forward": 10, "arm_up": 40, "arm_turn_in": -30, "elbow_flex": 95,
        **leg(45, 60, 35, 30, -30)}, right={**arm(-10, 15, 20, 30), **leg(0, 5, 5, 5, -45)}, root_lean=90,
        neck_turn=60)
    p("lie on side", "side", left={**arm(45, 2, 60), **leg(45, 60, 2)}, right={**arm(70, 0, 60), **leg(35, 50, 0)},
        root_side=-90, weight=1)
    p("foetal", "side", {**arm(55, -2, 105, -20), **leg(105, 115, 2, 0, -15)}, root_side=-90, spine_flex=45,
        neck_flex=25)
    p("side plank", "held", left={"arm_forward": 0, "arm_up": 5, "arm_turn_in": -10, "elbow_flex": 3},
        right={"arm_forward": 5, "arm_up": -5, "elbow_flex": 5, "wrist_flex": -60}, root_side=-68, noise=0.6,
        weight=0.6)
    p("fallen", "side", left={**arm(60, 20, 50), **leg(60, 70, 10)}, right={**arm(40, 10, 80), **leg(20, 40, 5)},
        root_side=-80, root_lean=15, spine_turn=25, noise=1.2)
    # fmt: on
    return c.items
