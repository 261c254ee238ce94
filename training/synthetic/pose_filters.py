"""Plausibility filters of poses: self-intersection, ground contact and balance.

The body is eighteen capsules around its bones, with radii that follow the betas.  Samples are the last axis.
"""

from __future__ import annotations

import numpy as np

from backend.body.model import BodyModel
from training.synthetic.skeleton import RigidPoints, Skeleton

# name: ((joint, offset m from it or None), the same for the other end, radius m of the mean body)
_End = tuple[str, tuple[float, float, float] | None]
_TRUNK: dict[str, tuple[_End, _End, float]] = {
    "head": (("head", (0.0, 0.02, 0.02)), ("head", (0.0, 0.075, 0.02)), 0.085),
    "shoulders": (("spine3", (-0.10, 0.126, 0.01)), ("spine3", (0.10, 0.126, 0.01)), 0.080),
    "chest": (("spine3", (-0.09, 0.06, 0.03)), ("spine3", (0.09, 0.06, 0.03)), 0.105),
    "belly": (("spine1", (-0.05, 0.06, 0.03)), ("spine1", (0.05, 0.06, 0.03)), 0.098),
    "pelvis": (("pelvis", (-0.08, 0.0, 0.02)), ("pelvis", (0.08, 0.0, 0.02)), 0.105),
    "seat": (("pelvis", (-0.09, -0.08, -0.01)), ("pelvis", (0.09, -0.08, -0.01)), 0.085),
}
_LIMBS: dict[str, tuple[_End, _End, float]] = {
    "upper_arm": (("shoulder", (0.14, 0.0, 0.0)), ("elbow", None), 0.044),
    "forearm": (("elbow", (0.03, 0.0, 0.0)), ("wrist", None), 0.033),
    "hand": (("wrist", (0.03, -0.01, 0.02)), ("wrist", (0.15, -0.01, 0.02)), 0.028),
    "thigh": (("hip", (0.01, -0.18, 0.0)), ("knee", None), 0.066),
    "shin": (("knee", (0.0, -0.05, -0.01)), ("ankle", None), 0.050),
    "foot": (("ankle", (0.0, -0.045, -0.03)), ("ankle", (0.0, -0.048, 0.16)), 0.032),
}
_SOFT, _FIRM = 0.05, 0.015  # m, tolerated penetration: soft tissue compresses


def _pairs() -> list[tuple[str, str, float]]:
    found = []
    for side, other in (("left", "right"), ("right", "left")):
        for limb in ("hand", "forearm", "upper_arm"):
            arm = f"{side}_{limb}"
            for part in ("head", "chest", "belly", "pelvis"):
                found.append((arm, part, {"upper_arm": 0.055, "forearm": 0.025}.get(limb, _FIRM)))
            for leg in ("thigh", "shin", "foot"):
                found += [(arm, f"{s}_{leg}", _FIRM) for s in (side, other)]
        found += [(f"{side}_hand", "shoulders", _FIRM), (f"{side}_forearm", "shoulders", 0.03)]
        found += [(f"{side}_hand", f"{side}_upper_arm", 0.03)]
        for part in ("head", "chest", "belly", "pelvis"):
            found.append((f"{side}_shin", part, _SOFT))
            found.append((f"{side}_foot", part, _SOFT if part == "pelvis" else _FIRM))
        found += [(f"{side}_thigh", "chest", _SOFT), (f"{side}_thigh", "head", _FIRM)]
        found += [(f"{side}_shin", f"{other}_thigh", 0.03), (f"{side}_foot", f"{other}_thigh", 0.03)]
        found += [(f"{side}_foot", f"{other}_shin", 0.02)]
        found += [
            (f"{side}_forearm", f"{other}_upper_arm", _FIRM),
            (f"{side}_hand", f"{other}_upper_arm", _FIRM),
        ]
        found += [(f"{side}_hand", f"{other}_forearm", _FIRM)]
    for limb in ("hand", "forearm", "upper_arm", "thigh", "shin", "foot"):
        found.append((f"left_{limb}", f"right_{limb}", 0.03 if limb in ("thigh", "shin") else _FIRM))
    return found


# the capsules that bear the weight; of each group, one has to touch the floor
SUPPORTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "feet": (("left_foot",), ("right_foot",)),
    "foot": (("left_foot", "right_foot"),),
    "stride": (("left_foot", "right_foot"),),
    "seat": (("left_foot", "right_foot"),),
    "ground": (("seat", "pelvis"),),
    "knees": (("left_shin", "right_shin"), ("left_foot", "right_foot")),
    "hands": (("left_hand", "right_hand"), ("left_foot", "right_foot", "left_shin", "right_shin")),
    "back": (("seat", "pelvis"), ("chest", "shoulders")),
    "front": (
        ("pelvis", "left_thigh", "right_thigh"),
        ("chest", "left_forearm", "right_forearm", "left_hand", "right_hand"),
    ),
    "side": (("seat", "pelvis"), ("chest", "shoulders", "right_upper_arm", "left_upper_arm")),
}  # fmt: skip
# m above the lowest point that still counts as contact, and by which other parts may be below the supporting ones
_TOUCH = {"feet": 0.05, "side": 0.18, "front": 0.11, "back": 0.09}
_UNDER = {"side": 0.10, "front": 0.06, "back": 0.05}
# share of the body's mass (Winter, "Biomechanics of Human Movement", rounded), at the capsule's midpoint
_MASS = {
    "head": 0.08, "shoulders": 0.09, "chest": 0.13, "belly": 0.14, "seat": 0.14, "upper_arm": 0.028, "forearm": 0.016,
    "hand": 0.006, "thigh": 0.10, "shin": 0.0465, "foot": 0.0145,
}  # fmt: skip


class Capsules:
    """The capsules of one body."""

    def __init__(self, body: BodyModel, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        table = dict(_TRUNK)
        for side, sign in (("left", 1.0), ("right", -1.0)):
            for name, (start, end, radius) in _LIMBS.items():
                moved = []
                for joint, offset in (start, end):
                    flipped = None if offset is None else (sign * offset[0], offset[1], offset[2])
                    moved.append((f"{side}_{joint}", flipped))
                table[f"{side}_{name}"] = (moved[0], moved[1], radius)
        self.names = tuple(table)
        self.index = {name: k for k, name in enumerate(self.names)}
        names = skeleton.names
        joints = np.array([names.index(end[0]) for a, b, _ in table.values() for end in (a, b)])
        offsets = np.array([end[1] or (0.0, 0.0, 0.0) for a, b, _ in table.values() for end in (a, b)])
        self.ends = RigidPoints(skeleton.joints[joints] + offsets, skeleton.joint_shapedirs[joints], joints)
        self.radius = np.array([radius for _, _, radius in table.values()], np.float32)
        self.radius_shapedirs = self._radius_shapedirs(body)
        pairs = _pairs()
        self.first = np.array([self.index[one] for one, _, _ in pairs])
        self.second = np.array([self.index[other] for _, other, _ in pairs])
        self.slack = np.array([slack for _, _, slack in pairs], np.float32)
        self._mass = np.array([_MASS.get(n, _MASS.get(n.split("_", 1)[-1], 0.0)) for n in self.names], np.float32)
        self._mass /= self._mass.sum()

    def _radius_shapedirs(self, body: BodyModel) -> np.ndarray:
        """(C, B) m per beta: mean growth of the surface around each capsule."""
        rest = body.v_template.double().cpu().numpy()
        moves = body.shapedirs.double().cpu().numpy()
        dominant = body.weights.cpu().numpy().argmax(1)
        ends = self.ends.rest.reshape(-1, 2, 3).astype(np.float64)
        directions = self.ends.directions.reshape(-1, 2, 3, moves.shape[2])
        found = np.zeros((len(ends), moves.shape[2]), np.float32)
        for k in range(len(ends)):
            a, b = ends[k]
            along = b - a
            t = np.clip((rest - a) @ along / (along @ along), 0, 1)
            out = rest - a - t[:, None] * along
            far = np.linalg.norm(out, axis=1)
            near = (far < 1.6 * self.radius[k]) & (far > 0.5 * self.radius[k])
            near &= np.isin(dominant, np.unique(dominant[far < 1.2 * self.radius[k]]))
            unit = out[near] / far[near, None]
            carried = directions[k, 0] * (1 - t[near])[:, None, None] + directions[k, 1] * t[near][:, None, None]
            found[k] = np.einsum("vc,vcb->vb", unit, moves[near] - carried).mean(0)
        return found

    def pose(
        self, betas: np.ndarray, rest: np.ndarray, global_rotations: np.ndarray, joints: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ends (C, 2, 3, n) and radii (C, n) of the posed capsules, m."""
        ends = self.skeleton.points(self.ends, betas, rest, global_rotations, joints)
        radius = self.radius[:, None] + self.radius_shapedirs @ np.ascontiguousarray(betas.T, np.float32)
        return ends.reshape(-1, 2, *ends.shape[1:]), np.maximum(radius, 0.015)

    def center_of_mass(self, ends: np.ndarray) -> np.ndarray:
        """(3, n) m: centre of mass, from ends (C, 2, 3, n)."""
        return np.tensordot(self._mass, ends.mean(1), 1)

    def lowest(self, ends: np.ndarray, radius: np.ndarray, group: tuple[str, ...]) -> np.ndarray:
        """(n,) m: height of the lowest point of the capsules in `group`."""
        rows = [self.index[name] for name in group]
        return (ends[rows, :, 1].min(1) - radius[rows]).min(0)


def collisions(capsules: Capsules, ends: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """(P, n) m: penetration of each pair of capsules beyond its tolerance; above 0 is a collision."""
    first, second = capsules.first, capsules.second
    gap = segment_distance(ends[first, 0], ends[first, 1], ends[second, 0], ends[second, 1])
    return radius[first] + radius[second] - capsules.slack[:, None] - gap


def segment_distance(p: np.ndarray, p2: np.ndarray, q: np.ndarray, q2: np.ndarray) -> np.ndarray:
    """(P, n) distance of segments (P, 3, n) (Ericson, "Real-Time Collision Detection", 2005, section 5.1.9)."""
    d, e, r = p2 - p, q2 - q, p - q

    def dot(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return u[:, 0] * v[:, 0] + u[:, 1] * v[:, 1] + u[:, 2] * v[:, 2]

    a, b, c, f, g = dot(d, d), dot(d, e), dot(d, r), dot(e, r), dot(e, e)
    a, g = np.maximum(a, 1e-9), np.maximum(g, 1e-9)
    bottom = a * g - b * b
    s = np.where(bottom > 1e-9, np.clip((b * f - c * g) / np.maximum(bottom, 1e-9), 0, 1), 0)
    t = np.clip((b * s + f) / g, 0, 1)
    s = np.clip((b * t - c) / a, 0, 1)
    gap = r + s[:, None] * d - t[:, None] * e
    return np.sqrt(dot(gap, gap))


def supported(capsules: Capsules, ends: np.ndarray, radius: np.ndarray, support: str) -> np.ndarray:
    """(n,) bool: the supporting parts touch the floor, and no other part is much lower.

    A support that SUPPORTS lacks (`air`; `held`: by a bar, a ladder, a saddle) always passes.
    """
    groups = SUPPORTS.get(support)
    if groups is None:
        return np.ones(ends.shape[-1], bool)
    lows = np.stack([capsules.lowest(ends, radius, group) for group in groups])
    everything = capsules.lowest(ends, radius, capsules.names)
    touch = _TOUCH.get(support, 0.08)
    return (lows - everything <= touch).all(0) & (lows.min(0) - everything <= _UNDER.get(support, 0.04))


def balanced(capsules: Capsules, ends: np.ndarray, margin: float = 0.10) -> np.ndarray:
    """(n,) bool: the centre of mass is within `margin` m of the box around the soles in contact."""
    center = capsules.center_of_mass(ends)[[0, 2]]
    feet = ends[[capsules.index["left_foot"], capsules.index["right_foot"]]]  # (2, 2, 3, n)
    on_floor = feet[:, :, 1].min(1) <= feet[:, :, 1].min((0, 1)) + 0.08
    spots = feet[:, :, [0, 2]]
    low = np.where(on_floor[:, None, None], spots, np.inf).min((0, 1)) - margin
    high = np.where(on_floor[:, None, None], spots, -np.inf).max((0, 1)) + margin
    return ((center >= low) & (center <= high)).all(0)
