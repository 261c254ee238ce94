"""Archetypes on the feet, in the air and on the hands: standing, bending, sport, dance, yoga, jumps."""

from __future__ import annotations

from training.synthetic.archetypes import Archetype, Collection, arm, leg


def upright_poses() -> list[Archetype]:
    """Archetypes in degrees; see `archetypes`."""
    c = Collection()
    p = c.pose
    # fmt: off
    # standing
    p("stand", "feet", weight=4)
    p("stand at ease", "feet", {**leg(0, 0, 10), **arm(-15, 10, 60, 60)})
    p("contrapposto", "feet", left=leg(0, 0, -4), right={**leg(12, 22, 12, 18, 8)}, spine_side=-8, root_side=6,
        weight=2)
    p("attention", "feet", {**arm(0, 4, 3), **leg(0, 0, 0, 12)})
    p("T", "feet", {"arm_forward": 0, "arm_up": 0, "arm_turn_in": 0, "elbow_flex": 3})
    p("A", "feet", {**arm(0, 40, 5), **leg(0, 0, 10)})
    p("arms crossed", "feet", {**arm(42, -2, 105, 10, forearm_in=20)}, right={**arm(52, -2, 108, 12)}, weight=3.5,
        noise=0.4)
    p("hands on hips", "feet", {**arm(-22, 42, 100, 45, wrist_flex=-20, forearm_in=30)}, weight=2)
    p("hands in pockets", "feet", {**arm(-12, 22, 42, 15)})
    p("hands behind back", "feet", {**arm(-30, 14, 55, 75)}, noise=0.6)
    p("hands behind head", "feet", {"arm_forward": 25, "arm_up": 45, "arm_turn_in": -85, "elbow_flex": 135},
        neck_flex=5)
    p("arms up", "feet", {"arm_forward": 20, "arm_up": 72, "arm_turn_in": -70, "elbow_flex": 10, "collar_up": 22},
        weight=1.5)
    p("Y", "feet", {"arm_forward": 10, "arm_up": 48, "arm_turn_in": -45, "elbow_flex": 8, "collar_up": 15})
    p("stretch", "feet", {"arm_forward": 15, "arm_up": 82, "arm_turn_in": -80, "elbow_flex": 20, "collar_up": 28},
        spine_flex=-18)
    p("wave", "feet", left={"arm_forward": 25, "arm_up": 15, "arm_turn_in": -88, "elbow_flex": 80}, weight=1.5)
    p("point ahead", "feet", left=arm(88, 5, 6))
    p("point aside", "feet", left={"arm_forward": 10, "arm_up": 0, "arm_turn_in": -20, "elbow_flex": 5},
        neck_turn=45)
    p("phone", "feet", left={**arm(38, 18, 138, -30)}, neck_side=8, weight=1.5)
    p("look at phone", "feet", left=arm(35, 5, 95, -50), right=arm(30, 5, 90, -40), neck_flex=30, spine_flex=8,
        weight=1.5)
    p("salute", "feet", left={"arm_forward": 35, "arm_up": -2, "arm_turn_in": -60, "elbow_flex": 140})
    p("clap", "feet", arm(48, 6, 72, -25), weight=1)
    p("carry", "feet", arm(25, 10, 88, -35, forearm_in=-60), spine_flex=-6)
    p("drink", "feet", left=arm(55, 12, 128, -60), neck_flex=-15)
    p("photograph", "feet", arm(60, 18, 120, -60), neck_flex=5)
    p("push wall", "feet", {**arm(85, 8, 20, wrist_flex=-60)}, left=leg(35, 35, 3, 5, 20), right=leg(-15, 10, 3, 5,
        20), root_lean=12, spine_flex=5)
    p("pull rope", "feet", left={**arm(75, 4, 30), **leg(45, 45, 8)}, right={**arm(35, 15, 100), **leg(10, 50, 8)},
        spine_flex=-5, spine_turn=-25)
    p("shrug", "feet", {**arm(15, 25, 95, -70, forearm_in=-70), "collar_up": 28})
    p("think", "feet", left={**arm(45, 2, 135, -20)}, right=arm(40, -4, 88, 10), neck_flex=12, noise=0.5)
    # bending and squatting
    p("bow", "feet", {**leg(55)}, spine_flex=25, root_lean=40, neck_flex=5)
    p("touch toes", "feet", {**arm(95, 5, 5), **leg(95, 5)}, spine_flex=65, root_lean=60, neck_flex=10)
    p("pick up", "feet", {**leg(85, 60, 6, 8, 15)}, left=arm(75, 5, 10), right=arm(40, 10, 40), spine_flex=45,
        root_lean=45)
    p("lift box", "feet", {**arm(65, 5, 25), **leg(85, 80, 12, 12, 20)}, spine_flex=30, root_lean=35)
    p("chair pose", "feet", {**leg(75, 80, 3, 3, 22), "arm_forward": 45, "arm_up": 55, "arm_turn_in": -80,
        "elbow_flex": 8}, root_lean=35, spine_flex=5)
    p("squat", "feet", {**arm(80, 5, 20), **leg(100, 110, 18, 20, 28)}, root_lean=32, spine_flex=25, weight=1.5)
    p("deep squat", "feet", {**arm(70, 8, 60), **leg(125, 138, 22, 25, 30)}, root_lean=28, spine_flex=45, weight=3)
    p("sumo", "feet", {**arm(35, 20, 60), **leg(50, 60, 45, 40, 15)}, root_lean=20, spine_flex=15)
    p("side bend", "feet", {**leg(0, 0, 14)}, left={"arm_forward": 5, "arm_up": 75, "arm_turn_in": -60,
        "elbow_flex": 15}, spine_side=-32, neck_side=-15, weight=2)
    p("triangle", "feet", left={"arm_forward": 5, "arm_up": 5, "elbow_flex": 3, "arm_turn_in": 0, **leg(0, 0, 38)},
        right={"arm_forward": 5, "arm_up": 0, "elbow_flex": 3, "arm_turn_in": 0, **leg(10, 0, 40, 40)},
        spine_side=-30, root_side=-35)
    p("twist", "feet", {**leg(5, 10, 8), "arm_forward": 20, "arm_up": -10, "arm_turn_in": 0, "elbow_flex": 20},
        spine_turn=40, neck_turn=35)
    # lunges, sport, fight
    p("lunge", "feet", left=leg(85, 88, 3, 5, 8), right=leg(-15, 50, 3, 5, 25, toes_up=40), weight=4)
    p("warrior", "feet", {"arm_forward": 0, "arm_up": 0, "arm_turn_in": 0, "elbow_flex": 3}, left=leg(70, 80, 30,
        50, 8), right=leg(-10, 5, 32, 30, 5), neck_turn=60)
    p("side lunge", "feet", left=leg(75, 95, 20, 20, 20), right=leg(15, 5, 50, 10), root_lean=25, spine_flex=15)
    p("guard", "feet", left={**arm(48, 8, 125, -50), **leg(22, 25, 8)}, right={**arm(40, 10, 135, -45), **leg(-5,
        22, 8, 25)}, spine_flex=10, spine_turn=-18, weight=1.5)
    p("jab", "feet", left={**arm(88, 4, 5), **leg(28, 28, 8), "collar_forward": 20}, right={**arm(40, 10, 135,
        -45), **leg(-8, 25, 8, 25)}, spine_turn=-30, spine_flex=8)
    p("hook", "feet", left={"arm_forward": 70, "arm_up": -5, "arm_turn_in": 0, "elbow_flex": 85, **leg(20, 30, 8)},
        right={**arm(40, 10, 135, -45), **leg(-5, 25, 8, 25)}, spine_turn=-20)
    p("front kick", "foot", {**arm(35, 12, 100, -45)}, left=leg(95, 12, 3, 5, 10), right=leg(3, 12), root_lean=-12)
    p("side kick", "foot", {**arm(35, 12, 100, -45)}, left=leg(35, 10, 55, -10, 10), right=leg(0, 10, 25, 20),
        root_side=-35, spine_side=10)
    p("football kick", "stride", left={**leg(55, 20, 5), **arm(-20, 30, 20)}, right={**leg(10, 22),
        "arm_forward": 30, "arm_up": -15, "elbow_flex": 15}, root_lean=-10, spine_turn=15, spine_flex=12)
    p("kick back swing", "stride", left={**leg(-20, 85, 5), **arm(40, 40, 15)}, right={**leg(35, 35), **arm(-20,
        40, 15)}, root_lean=8, spine_turn=-18)
    p("throw cocked", "stride", left={"arm_forward": -20, "arm_up": 10, "arm_turn_in": -92, "elbow_flex": 95,
        **leg(-12, 25)}, right={**arm(85, 15, 15), **leg(55, 30)}, spine_turn=35, spine_flex=-8, weight=1.3)
    p("throw released", "stride", left={**arm(70, 2, 15, -30), **leg(-10, 35, 3, 5, -15)}, right={**arm(-10, 20,
        70), **leg(50, 45)}, spine_turn=-32, spine_flex=35, root_lean=12)
    p("tennis serve", "stride", left={"arm_forward": -5, "arm_up": 55, "arm_turn_in": -90, "elbow_flex": 60,
        **leg(0, 20)}, right={"arm_forward": 55, "arm_up": 55, "arm_turn_in": -70, "elbow_flex": 10, **leg(20,
        25)}, spine_flex=-18, neck_flex=-30)
    p("tennis forehand", "feet", left={"arm_forward": -15, "arm_up": -25, "arm_turn_in": -40, "elbow_flex": 40,
        **leg(30, 40, 18, 20)}, right={**arm(75, 5, 45, 0), **leg(35, 40, 18)}, spine_turn=38, spine_flex=12)
    p("baseball bat", "feet", left={**arm(70, -12, 65, 0), **leg(25, 35, 20)}, right={"arm_forward": 60,
        "arm_up": -15, "arm_turn_in": -40, "elbow_flex": 105, **leg(25, 35, 20)}, spine_turn=-35, spine_flex=15,
        neck_turn=60, noise=0.7)
    p("golf", "feet", left={**arm(50, -8, 8, 0)}, right={**arm(52, -6, 18, 0)}, both=leg(30, 20, 10), root_lean=18,
        spine_flex=22, neck_flex=20, noise=0.6)
    p("basketball shot", "feet", left={"arm_forward": 75, "arm_up": 30, "arm_turn_in": -90, "elbow_flex": 75,
        **leg(15, 25)}, right={"arm_forward": 70, "arm_up": 25, "arm_turn_in": -80, "elbow_flex": 90, **leg(15,
        25)}, neck_flex=-15)
    p("defend", "feet", {**leg(55, 60, 25, 20, 18), "arm_forward": 30, "arm_up": -25, "arm_turn_in": -60,
        "elbow_flex": 45}, root_lean=22, spine_flex=20, neck_flex=-20)
    p("ski", "feet", {**arm(48, 20, 55), **leg(50, 60, 4, 2, 25)}, root_lean=25, spine_flex=28, neck_flex=-25)
    p("surf", "feet", left={"arm_forward": 15, "arm_up": -10, "elbow_flex": 30, "arm_turn_in": -30, **leg(45, 55,
        28, 30, 18)}, right={"arm_forward": -5, "arm_up": -15, "elbow_flex": 35, "arm_turn_in": -40, **leg(40, 55,
        30, 10, 18)}, spine_flex=20, root_lean=15, spine_turn=30, neck_turn=50)
    p("start block", "hands", {**arm(80, 12, 5), "wrist_flex": -50}, left=leg(110, 100, 3, 3, 15, toes_up=40),
        right=leg(75, 75, 3, 3, 10, toes_up=40), root_lean=70, spine_flex=35, neck_flex=-20)
    p("lift weight overhead", "feet", {"arm_forward": 10, "arm_up": 70, "arm_turn_in": -80, "elbow_flex": 12,
        "collar_up": 28, "wrist_flex": -30, **leg(5, 8, 14, 12)})
    p("deadlift", "feet", {**arm(48, 6, 3), **leg(75, 55, 8, 8, 12)}, root_lean=48, spine_flex=12, neck_flex=-15)
    # one leg, dance, yoga
    p("tree", "foot", {"arm_forward": 40, "arm_up": 70, "arm_turn_in": -88, "elbow_flex": 35, "collar_up": 20},
        left=leg(65, 125, 45, 50, -10), right=leg(0), noise=0.5)
    p("arabesque", "foot", left={**leg(-25, 5, 5, 20, -40), "arm_forward": 0, "arm_up": 0, "elbow_flex": 8},
        right={**leg(50, 3), **arm(100, 8, 6)}, root_lean=50, spine_flex=-25, neck_flex=-25)
    p("passe", "foot", {"arm_forward": 40, "arm_up": -10, "arm_turn_in": -30, "elbow_flex": 35}, left=leg(75, 120,
        40, 40, -45), right=leg(0, 0, 2, 20, -30))
    p("knee up", "foot", left={**leg(95, 95, 3), **arm(-20, 10, 80)}, right={**leg(0, 5), **arm(45, 8, 90)})
    p("quad stretch", "foot", left={**leg(0, 135, 2), **arm(-35, 8, 30, 20)}, right={**leg(0, 5), **arm(90, 20,
        5)}, noise=0.6)
    p("flamenco", "feet", left={"arm_forward": 25, "arm_up": 70, "arm_turn_in": -60, "elbow_flex": 50, **leg(25,
        40, 3, 20)}, right={**arm(20, 25, 75, 30), **leg(0)}, spine_side=12, spine_turn=18, neck_turn=-30)
    p("disco", "feet", left={"arm_forward": 10, "arm_up": 50, "arm_turn_in": -40, "elbow_flex": 5, **leg(0, 5, 20,
        10)}, right={**arm(10, 35, 80, 40), **leg(10, 25, 12, 30)}, root_side=-8, spine_side=12, neck_turn=30)
    p("waltz", "feet", left={"arm_forward": 25, "arm_up": -5, "arm_turn_in": -50, "elbow_flex": 60},
        right={"arm_forward": 65, "arm_up": -20, "arm_turn_in": -10, "elbow_flex": 80}, spine_flex=-8, neck_turn=30)
    p("ballet fifth", "feet", {"arm_forward": 50, "arm_up": 60, "arm_turn_in": -70, "elbow_flex": 50, **leg(0, 0,
        0, 45)}, noise=0.6)
    p("hip hop", "feet", left={**arm(60, 20, 100, -30), **leg(35, 50, 28, 20, 15)}, right={**arm(-10, 35, 90, 10),
        **leg(25, 40, 25, 20, 10)}, spine_flex=25, root_lean=12, spine_turn=-18)
    p("downward dog", "hands", {"arm_forward": 55, "arm_up": 60, "arm_turn_in": -70, "elbow_flex": 5,
        "wrist_flex": -60, **leg(100, 6, 4, 3, 22)}, root_lean=130, spine_flex=5, neck_flex=10)
    p("plank", "hands", {**arm(88, 6, 5), "wrist_flex": -70, **leg(2, 2, 4, 0, 20, toes_up=45)}, root_lean=72,
        neck_flex=-10)
    p("push-up low", "hands", {**arm(12, 40, 105, -20), "wrist_flex": -70, **leg(0, 2, 4, 0, 20, toes_up=45)},
        root_lean=86, neck_flex=-20)
    p("cobra", "front", {**arm(20, 12, 30), "wrist_flex": -60, **leg(-15, 5, 4, 5, -45)}, root_lean=80,
        spine_flex=-30, neck_flex=-35)
    p("bridge", "hands", {"arm_forward": 10, "arm_up": 85, "arm_turn_in": -80, "elbow_flex": 10, "wrist_flex": -65,
        "collar_up": 20, **leg(-20, 88, 8, 5, 5)}, root_lean=-95, spine_flex=-30, neck_flex=-45, noise=0.6,
        weight=0.6)
    p("handstand", "held", {"arm_forward": 8, "arm_up": 85, "arm_turn_in": -80, "elbow_flex": 3, "wrist_flex": -65,
        "collar_up": 25, **leg(0, 3, 2, 5, -40)}, root_lean=178, neck_flex=-30, weight=0.5)
    p("hang", "held", {"arm_forward": 12, "arm_up": 85, "arm_turn_in": -70, "elbow_flex": 8, "collar_up": 30,
        **leg(5, 15, 3, 5, -30)}, weight=0.7)
    p("pull-up", "held", {"arm_forward": 25, "arm_up": -5, "arm_turn_in": -90, "elbow_flex": 125, **leg(10, 40, 3,
        5, -30)}, weight=0.6)
    p("climb wall", "held", left={"arm_forward": 40, "arm_up": 60, "arm_turn_in": -85, "elbow_flex": 30, **leg(20,
        30, 20, 30)}, right={"arm_forward": 55, "arm_up": 15, "arm_turn_in": -90, "elbow_flex": 90, **leg(95, 105,
        40, 40)}, root_lean=5, neck_flex=-25)
    # jumps
    p("star jump", "air", {"arm_forward": 5, "arm_up": 40, "arm_turn_in": -30, "elbow_flex": 8, **leg(5, 10, 38,
        10, -35)})
    p("tuck jump", "air", {**arm(75, 8, 50), **leg(110, 120, 6, 5, -20)}, spine_flex=25)
    p("leap", "air", left={**leg(80, 20, 3, 5, -30), **arm(20, 30, 15)}, right={**leg(-25, 25, 3, 5, -40),
        **arm(90, 20, 15)}, root_lean=8)
    p("header", "air", {"arm_forward": 20, "arm_up": -25, "elbow_flex": 60, "arm_turn_in": -40, **leg(-10, 45, 6,
        5, -35)}, spine_flex=-22, neck_flex=-20)
    p("dunk", "air", left={"arm_forward": 25, "arm_up": 80, "arm_turn_in": -80, "elbow_flex": 15, "collar_up": 28,
        **leg(20, 55)}, right={**arm(30, 30, 50), **leg(60, 90)}, spine_turn=-12)
    # fmt: on
    return c.items
