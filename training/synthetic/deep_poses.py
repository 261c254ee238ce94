"""Deep squats and lunges: the poses that the filters reject most often, and that a lifter needs most.

They are a list of their own, because the order of `pose_library.all_archetypes` is part of what a data set's seed
means.
"""

from __future__ import annotations

from training.synthetic.archetypes import Archetype, Collection, arm, leg


def deep_poses() -> list[Archetype]:
    """Archetypes in degrees, see `archetypes`; thighs apart and arms forward, so that few samples self-intersect."""
    c = Collection()
    p = c.pose
    # fmt: off
    p("catcher", "feet", {**leg(118, 138, 34, 32, 25)}, left=arm(62, 12, 50, -20), right=arm(30, 22, 75, -10),
        root_lean=18, spine_flex=28, neck_flex=-20, weight=5)
    p("wicketkeeper", "feet", {**arm(58, 6, 30, -30), **leg(108, 126, 30, 30, 28)}, root_lean=24, spine_flex=32,
        neck_flex=-28, weight=3)
    p("resting squat", "feet", {**arm(85, 14, 30), **leg(128, 145, 28, 30, 30)}, root_lean=22, spine_flex=42,
        weight=4)
    p("squat on the toes", "feet", {**arm(50, 20, 40), **leg(110, 146, 22, 22, 5)}, root_lean=8, spine_flex=22,
        weight=3)
    p("squat arms round knees", "feet", {**arm(70, 26, 45, 10), **leg(124, 142, 16, 16, 30)}, root_lean=24,
        spine_flex=44, weight=2)
    p("frog", "feet", {**arm(72, 2, 8), **leg(112, 140, 50, 48, 20)}, root_lean=24, spine_flex=40, weight=3)
    p("hands to the ground", "feet", {**arm(80, 10, 12), **leg(112, 118, 24, 22, 28)}, root_lean=40, spine_flex=48,
        weight=2)
    p("half squat", "feet", {**arm(55, 12, 35), **leg(92, 108, 20, 20, 30)}, root_lean=30, spine_flex=22, weight=3)
    p("goblet squat", "feet", {**arm(50, 8, 118, -40), **leg(118, 132, 32, 30, 28)}, root_lean=22, spine_flex=18,
        weight=2)
    p("squat, arms overhead", "feet", {"arm_forward": 30, "arm_up": 70, "arm_turn_in": -75, "elbow_flex": 10,
        "collar_up": 24, **leg(112, 126, 26, 26, 28)}, root_lean=30, spine_flex=5, weight=2)
    # one leg forward, the rear heel up: one foot has to touch
    p("low lunge", "stride", left=leg(95, 100, 5, 5, 15), right=leg(-10, 85, 5, 5, 0, toes_up=45), both=arm(20, 12, 40),
        root_lean=8, weight=4)
    p("lunge with a bar", "stride", {"arm_forward": -20, "arm_up": -30, "arm_turn_in": -80, "elbow_flex": 115},
        left=leg(88, 92, 6, 6, 10), right=leg(-8, 65, 5, 5, 10, toes_up=40), root_lean=6, weight=3)
    p("fencing lunge", "stride", left={**leg(85, 78, 22, 25, 5), **arm(85, 15, 8)}, right={**leg(10, 8, 45, 25, 0),
        "arm_forward": -30, "arm_up": 0, "elbow_flex": 25}, root_lean=12, spine_turn=-25, weight=2)
    p("crouch on one knee", "stride", left=leg(118, 132, 14, 12, 20), right=leg(62, 138, 16, 14, -5, toes_up=45),
        both=arm(48, 14, 55), root_lean=12, spine_flex=25, weight=3)
    p("tie a shoe", "stride", left={**leg(122, 112, 10, 8, 10), **arm(78, 4, 18)}, right={**leg(25, 118, 8, 6, -10,
        toes_up=45), **arm(80, -2, 18)}, root_lean=26, spine_flex=58, neck_flex=15, weight=2)
    p("half kneel, aiming", "knees", left={**leg(92, 100, 14, 10, 5), **arm(72, 4, 70, -10)}, right={**leg(15, 100, 12,
        8, -20, toes_up=30), **arm(70, 8, 110, -30)}, spine_turn=-20, spine_flex=10, weight=2)
    p("side lunge low", "feet", left=leg(108, 128, 24, 24, 28), right=leg(28, 6, 55, 10), both=arm(70, 10, 25),
        root_lean=28, spine_flex=25, weight=3)
    p("duck walk", "stride", left=leg(122, 118, 18, 16, 15), right=leg(92, 146, 16, 16, 0, toes_up=30),
        both=arm(40, 16, 60), root_lean=12, spine_flex=25, weight=2)
    p("ski tuck", "feet", {**arm(62, 8, 95, -40), **leg(105, 100, 8, 6, 28)}, root_lean=42, spine_flex=40,
        neck_flex=-30, weight=2)
    p("sit on a low stool", "seat", {**arm(45, 10, 55), **leg(110, 118, 22, 18, 10)}, root_lean=5, spine_flex=30,
        weight=2)
    # fmt: on
    return c.items
