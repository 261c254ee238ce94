"""Random poses: archetypes, varied, blended, mirrored, with reaching arms, placed on the floor and filtered.

World: y up, floor at y = 0, metres; the body looks along +z before its yaw.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from backend.body.model import BodyModel
from training.synthetic import anatomy, inverse_kinematics
from training.synthetic.anatomy import INDEX
from training.synthetic.archetypes import Archetype
from training.synthetic.pose_filters import Capsules, balanced, collisions, supported
from training.synthetic.pose_library import all_archetypes
from training.synthetic.skeleton import Skeleton, matmul

CHUNK = 1024  # candidates per batch; a seed's data depend on it
_MAX_CHUNKS = 10_000
_MAX_OVERSAMPLING = 12.0  # largest factor on the candidates of an archetype whose poses rarely pass the filters
# degrees, sd of the usual variation; origin not recorded
_SPREAD = {
    "hip_flex": 8, "hip_abduct": 5, "hip_turn_out": 7, "knee_flex": 9, "knee_turn": 2, "ankle_up": 6, "ankle_in": 4,
    "toes_up": 3, "collar_up": 5, "collar_forward": 5, "arm_forward": 16, "arm_up": 13, "arm_turn_in": 17,
    "elbow_flex": 17, "forearm_in": 22, "wrist_flex": 14, "wrist_radial": 7, "spine_flex": 7, "spine_side": 5,
    "spine_turn": 8, "neck_flex": 9, "neck_side": 6, "neck_turn": 16, "root_lean": 4, "root_side": 3,
}  # fmt: skip
# poses with these supports exchange arms and necks
_UPRIGHT = ("feet", "foot", "stride", "air", "seat", "knees", "ground")
_REACHING = ("feet", "foot", "stride", "seat", "ground", "knees")
_BALANCED = ("feet", "foot")

# support: (parts towards the head, parts towards the feet) that a rotation of the root brings to one height
_LEVEL = {
    "hands": (("left_hand", "right_hand"), ("left_foot", "right_foot", "left_shin", "right_shin")),
    "knees": (("left_shin", "right_shin"), ("left_foot", "right_foot")),
    "ground": (("left_foot", "right_foot"), ("seat",)),
    "back": (("chest", "shoulders"), ("seat",)),
    "front": (("chest", "left_hand", "right_hand", "left_forearm", "right_forearm"), ("pelvis",)),
    "side": (("chest", "shoulders"), ("seat", "pelvis")),
}


@dataclass
class Poses:
    """n poses.  Samples are the last axis of rotations (24, 3, 3, n) and joints (24, 3, n), the first of the others."""

    angles: np.ndarray  # (n, D) rad, anatomical
    yaw: np.ndarray  # (n,) rad about the vertical axis
    betas: np.ndarray  # (n, B)
    rotations: np.ndarray  # parent-relative; the root's includes yaw
    joints: np.ndarray  # m, floor at y = 0
    height_offset: np.ndarray  # (n,) m: added to the height, so that the body is on the floor or jumps
    archetype: np.ndarray  # (n,) index into the sampler's archetypes

    def __len__(self) -> int:
        return len(self.angles)

    def take(self, which: np.ndarray | slice) -> Poses:
        """The poses at index, mask or slice `which`."""
        last = ("rotations", "joints")
        return Poses(*(
            getattr(self, f.name)[..., which] if f.name in last else getattr(self, f.name)[which] for f in fields(self)
        ))  # fmt: skip

    @staticmethod
    def joined(parts: list[Poses]) -> Poses:
        """The poses of all parts, in order."""
        last = ("rotations", "joints")
        return Poses(*(
            np.concatenate([getattr(p, f.name) for p in parts], -1 if f.name in last else 0) for f in fields(Poses)
        ))  # fmt: skip


class PoseSampler:
    """Draws poses of one body; equal random generators give equal poses.

    even: draw more candidates (up to `_MAX_OVERSAMPLING` times) of archetypes whose poses rarely pass, so that weights
    hold after the filters.  tolerance: m of penetration allowed beyond `pose_filters`' own.
    """

    def __init__(
        self,
        body: BodyModel,
        archetypes: list[Archetype] | None = None,
        *,
        even: bool = False,
        tolerance: float = 0.0,
    ) -> None:
        self.tolerance = tolerance
        self.skeleton = Skeleton(body)
        self.capsules = Capsules(body, self.skeleton)
        self.num_betas = body.num_betas
        self.archetypes = archetypes or all_archetypes()
        lengths = np.array([len(a.frames) for a in self.archetypes])
        self._frames = np.concatenate([a.frames for a in self.archetypes])
        self._starts, self._lengths = np.cumsum(lengths) - lengths, lengths
        self._weights = np.array([a.weight for a in self.archetypes])
        self._proposal_weights = self._weights  # of candidates
        self._noise = np.array([a.noise for a in self.archetypes], np.float32)
        self.supports = sorted({a.support for a in self.archetypes})
        self._support = np.array([self.supports.index(a.support) for a in self.archetypes])
        self._spread = np.deg2rad(
            np.array([_SPREAD[n.removeprefix("left_").removeprefix("right_")] for n in anatomy.NAMES], np.float32)
        )
        if even:
            self._equalise_acceptance()

    def _equalise_acceptance(self) -> None:
        """Draw candidates by weight over acceptance rate, which is measured here with its own generator."""
        rng, tried, passed = np.random.default_rng(0), np.zeros(len(self._weights)), np.zeros(len(self._weights))
        for _ in range(24):
            poses, good = self.candidates(rng, CHUNK)
            tried += np.bincount(poses.archetype, minlength=len(tried))
            passed += np.bincount(poses.archetype[good], minlength=len(tried))
        share = (passed + 1) / (tried + 1)
        self._proposal_weights = self._weights / np.maximum(share, 1 / _MAX_OVERSAMPLING)

    def sample(self, rng: np.random.Generator, count: int) -> Poses:
        """`count` poses that pass every filter.  Raises RuntimeError where nearly none does."""
        parts: list[Poses] = []
        found = 0
        for _ in range(_MAX_CHUNKS):
            poses, good = self.candidates(rng, CHUNK)
            parts.append(poses.take(good))
            found += len(parts[-1])
            if found >= count:
                return Poses.joined(parts).take(slice(count))
        raise RuntimeError("Nearly no pose passes the filters: check the archetypes' angles and supports.")

    def candidates(self, rng: np.random.Generator, count: int) -> tuple[Poses, np.ndarray]:
        """`count` unfiltered poses, and (n,) bool: which of them pass."""
        chosen = self._choose(rng, self._proposal_weights, count)
        angles = self._sample_angles(rng, chosen)
        betas = np.clip(rng.standard_normal((count, self.num_betas), np.float32), -2.5, 2.5)
        rest = self.skeleton.rest(betas)
        angles = self._place_on_floor(rng, self._reaching(rng, angles, chosen, rest), chosen, betas, rest)
        yaw = rng.uniform(-np.pi, np.pi, count).astype(np.float32)
        return self.build(angles, yaw, betas, chosen, rng.exponential(0.18, count).astype(np.float32))

    def build(
        self, angles: np.ndarray, yaw: np.ndarray, betas: np.ndarray, chosen: np.ndarray, jump: np.ndarray
    ) -> tuple[Poses, np.ndarray]:
        """Poses of angles (n, D) on the floor, those of jumps `jump` m above it; and (n,) bool: they pass."""
        rest = self.skeleton.rest(betas)
        rotations = anatomy.rotations(angles)
        global_rotations, joints = self.skeleton.forward(rotations, rest)
        ends, radius = self.capsules.pose(betas, rest, global_rotations, joints)
        good = (collisions(self.capsules, ends, radius) <= self.tolerance).all(0) & anatomy.within_limits(angles)
        kinds = self._support[chosen]
        for kind in np.unique(kinds):
            name = self.supports[kind]
            which = kinds == kind
            part, thick = ends[..., which], radius[:, which]
            fine = supported(self.capsules, part, thick, name)
            if name in _BALANCED:
                fine &= balanced(self.capsules, part)
            good[which] &= fine
        height_offset = -self.capsules.lowest(ends, radius, self.capsules.names)
        in_air = kinds == self.supports.index("air") if "air" in self.supports else np.zeros(len(kinds), bool)
        height_offset = (height_offset + np.where(in_air, 0.03 + np.minimum(jump, 0.7), 0)).astype(np.float32)
        yaw_rotation = _about_y(yaw)
        rotations[0] = matmul(yaw_rotation, rotations[0])
        # the body rotates about its root joint, which stays at its rest position
        placed = rest[0] + np.einsum("abn,jbn->jan", yaw_rotation, joints - rest[0])
        placed[:, 1] += height_offset
        return Poses(angles, yaw, betas, rotations, placed, height_offset, chosen), good

    def walk(self, rng: np.random.Generator, stops: int, frames: int) -> Poses:
        """A motion of one person through `stops` + 1 poses, `frames` frames apart, interpolated in anatomical angles.

        Every frame is on the floor and within the limits; interpolated frames may self-intersect.
        """
        ends = self.sample(rng, stops + 1)
        ends = ends.take(np.argsort(self._support[ends.archetype], kind="stable"))  # by support
        t = np.arange(stops * frames) / frames
        k = t.astype(int)
        share = (t - k)[:, None].astype(np.float32)
        share = share * share * (3 - 2 * share)
        angles = anatomy.limited(ends.angles[k] * (1 - share) + ends.angles[k + 1] * share)
        around = (ends.yaw[k + 1] - ends.yaw[k] + np.pi) % (2 * np.pi) - np.pi
        betas = np.repeat(ends.betas[:1], len(t), 0)
        chosen = np.where(share[:, 0] < 0.5, ends.archetype[k], ends.archetype[k + 1])
        return self.build(angles, ends.yaw[k] + share[:, 0] * around, betas, chosen, np.zeros(len(t), np.float32))[0]

    def _choose(self, rng: np.random.Generator, weights: np.ndarray, count: int) -> np.ndarray:
        return np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(count), side="right").clip(
            max=len(weights) - 1
        )

    def _look_up(self, chosen: np.ndarray, phase: np.ndarray) -> np.ndarray:
        position = phase * self._lengths[chosen]
        low = position.astype(int)
        share = (position - low)[:, None].astype(np.float32)
        low, start, length = low % self._lengths[chosen], self._starts[chosen], self._lengths[chosen]
        return self._frames[start + low] * (1 - share) + self._frames[start + (low + 1) % length] * share

    def _sample_angles(self, rng: np.random.Generator, chosen: np.ndarray) -> np.ndarray:
        count = len(chosen)
        angles = self._look_up(chosen, rng.random(count))
        # blend with another archetype of the same support
        partner = np.empty(count, int)
        blend = rng.random(count).astype(np.float32) * (rng.random(count) < 0.35)
        draw = rng.random(count)
        kinds = self._support[chosen]
        for kind in np.unique(kinds):
            among = np.nonzero(self._support == kind)[0]
            share = np.cumsum(self._weights[among] / self._weights[among].sum())
            which = kinds == kind
            partner[which] = among[np.searchsorted(share, draw[which]).clip(max=len(among) - 1)]
        angles += (self._look_up(partner, rng.random(count)) - angles) * blend[:, None]
        # arms and neck of another archetype
        upright = np.isin(kinds, [self.supports.index(s) for s in _UPRIGHT if s in self.supports])
        giver = self._choose(rng, self._weights, count)
        given = np.isin(self._support[giver], [self.supports.index(s) for s in _UPRIGHT if s in self.supports])
        swap = upright & given & (rng.random(count) < 0.3)
        other = self._look_up(giver, rng.random(count))
        rows = np.nonzero(swap)[0][:, None]
        angles[rows, anatomy.UPPER] = other[rows, anatomy.UPPER]
        scale = self._noise[chosen] * np.array([0.4, 1.0, 1.4], np.float32)[rng.integers(3, size=count)]
        angles += rng.standard_normal(angles.shape, np.float32) * self._spread * scale[:, None]
        flip = rng.random(count) < 0.5
        angles[flip] = anatomy.mirrored(angles[flip])
        return anatomy.limited(angles)

    def _reaching(
        self, rng: np.random.Generator, angles: np.ndarray, chosen: np.ndarray, rest: np.ndarray
    ) -> np.ndarray:
        """Angles (n, D) with a tenth of the arms at random targets in front and a tenth at points on the own body."""
        count = len(angles)
        allowed = np.isin(self._support[chosen], [self.supports.index(s) for s in _REACHING if s in self.supports]) & (
            self._noise[chosen] > 0.55
        )
        global_rotations, joints = self.skeleton.forward(anatomy.rotations(angles), rest)
        names = self.skeleton.names
        for side, sign in (("left", 1.0), ("right", -1.0)):
            goes = rng.random(count)
            aim = rng.standard_normal((3, count)) * [[0.6], [0.8], [0.5]] + [[0.35 * sign], [0.0], [0.75]]
            aim /= np.linalg.norm(aim, axis=0)
            shoulder, elbow, wrist = (joints[names.index(f"{side}_{n}")] for n in ("shoulder", "elbow", "wrist"))
            length = np.linalg.norm(elbow - shoulder, axis=0) + np.linalg.norm(wrist - elbow, axis=0)
            chest = global_rotations[names.index("spine3")]
            free = shoulder + np.einsum("abn,bn->an", chest, aim * rng.uniform(0.3, 1.0, count)) * length
            part = rng.integers(6, size=count)
            own = np.stack([
                joints[names.index(n)] for n in ("head", "left_hip", "right_hip", "left_knee", "right_knee", "spine1")
            ])[part, :, np.arange(count)].T  # fmt: skip
            away = rng.standard_normal((3, count)) * 0.5 + [[0.5 * sign], [0.2], [0.6]]
            away /= np.linalg.norm(away, axis=0)
            own = own + np.einsum("abn,bn->an", chest, away * np.array([0.2, 0.2, 0.2, 0.14, 0.14, 0.2])[part])
            target = np.where(goes < 0.10, free, own).astype(np.float32)
            inverse_kinematics.solve_arm(
                angles, allowed & (goes < 0.20), side, target, rest, global_rotations, joints, names
            )
        return anatomy.limited(angles)

    def _place_on_floor(
        self,
        rng: np.random.Generator,
        angles: np.ndarray,
        chosen: np.ndarray,
        betas: np.ndarray,
        rest: np.ndarray,
    ) -> np.ndarray:
        """Angles (n, D) with the root rotated until the body is balanced or level, both feet of `feet` poses down."""
        names, index = self.skeleton.names, self.capsules.index
        for kind in np.unique(self._support[chosen]):
            name = self.supports[kind]
            if name not in _BALANCED and name not in _LEVEL:
                continue
            which = np.nonzero(self._support[chosen] == kind)[0]
            part, own, shape = angles[which], rest[..., which], betas[which]
            lean, aside = part[:, INDEX["root_lean"]], part[:, INDEX["root_side"]]
            for _ in range(2):
                global_rotations, joints = self.skeleton.forward(anatomy.rotations(part), own)
                ends, radius = self.capsules.pose(shape, own, global_rotations, joints)
                if name in _BALANCED:
                    feet = joints[[names.index("left_ankle"), names.index("right_ankle")]]
                    soles = ends[[index["left_foot"], index["right_foot"]]].mean(1)
                    if name == "foot":
                        lower = feet[:, 1].argmin(0)
                        spot = np.take_along_axis(soles, lower[None, None], 0)[0]
                    else:
                        spot = soles.mean(0)
                    to = self.capsules.center_of_mass(ends) - spot
                    up = np.maximum(to[1], 0.2)
                    lean -= np.clip(np.arctan2(to[2], up), -0.5, 0.5)
                    aside -= np.clip(np.arctan2(to[0], up), -0.5, 0.5)
                    continue
                at, low = self._lowest_points(ends, radius, _LEVEL[name])
                if name == "side":
                    across = np.maximum(np.abs(at[0][0] - at[1][0]), 0.2)
                    aside += np.sign(aside) * np.clip(np.arctan2(low[0] - low[1], across), -0.4, 0.4)
                else:
                    along = at[0][2] - at[1][2]
                    far = np.sign(along) * np.maximum(np.abs(along), 0.15)
                    lean += np.clip(np.arctan((low[0] - low[1]) / far), -0.4, 0.4)
                if name in ("back", "front"):
                    self._legs_up(part, ends, radius, low.min(0), 1.0 if name == "back" else -1.0)
            if name == "feet":
                self._plant_feet(part, own, rng)
            angles[which] = part
        return anatomy.limited(angles)

    def _lowest_points(
        self, ends: np.ndarray, radius: np.ndarray, groups: tuple[tuple[str, ...], ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The lowest capsule end of each group (G, 3, n), and the height of its surface there (G, n), m."""
        points, lows = [], []
        for group in groups:
            rows = [self.capsules.index[name] for name in group]
            flat = ends[rows].reshape(-1, *ends.shape[2:])
            low = flat[:, 1] - np.repeat(radius[rows], 2, 0)
            best = low.argmin(0)
            points.append(np.take_along_axis(flat, best[None, None], 0)[0])
            lows.append(np.take_along_axis(low, best[None], 0)[0])
        return np.stack(points), np.stack(lows)

    def _legs_up(
        self, angles: np.ndarray, ends: np.ndarray, radius: np.ndarray, floor: np.ndarray, sign: float
    ) -> None:
        """Flex the hips of lying bodies until no leg is below the floor."""
        for side in ("left", "right"):
            low = self.capsules.lowest(ends, radius, tuple(f"{side}_{n}" for n in ("thigh", "shin", "foot")))
            deep = np.maximum(floor - low - 0.02, 0)
            angles[:, INDEX[f"{side}_hip_flex"]] += sign * np.arcsin(np.clip(deep / 0.85, 0, 0.5))

    def _plant_feet(self, angles: np.ndarray, rest: np.ndarray, rng: np.random.Generator) -> None:
        """Bring both ankles to one height that both legs reach."""
        names = self.skeleton.names
        global_rotations, joints = self.skeleton.forward(anatomy.rotations(angles), rest)
        reachable, heights = [], []
        for side in ("left", "right"):
            hip, knee, ankle = (names.index(f"{side}_{n}") for n in ("hip", "knee", "ankle"))
            bones = np.linalg.norm(rest[knee] - rest[hip], axis=0) + np.linalg.norm(rest[ankle] - rest[knee], axis=0)
            beside = np.hypot(*(joints[ankle] - joints[hip])[[0, 2]])
            down = np.sqrt(np.maximum((0.995 * bones) ** 2 - beside**2, 0.01))
            reachable.append(joints[hip][1] - down)
            heights.append(joints[ankle][1])
        level = np.maximum(np.maximum(*reachable), (heights[0] + heights[1]) / 2).astype(np.float32)
        everyone = np.ones(len(angles), bool)
        for side in ("left", "right"):
            inverse_kinematics.solve_leg(angles, everyone, side, level, rest, global_rotations, joints, names)


def _about_y(yaw: np.ndarray) -> np.ndarray:
    c, s, o, i = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw), np.ones_like(yaw)
    return np.array([[c, o, s], [o, i, o], [-s, o, c]])
