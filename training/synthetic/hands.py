"""Random poses of a right hand: named poses, varied and blended, within joint limits and without self-intersection.

Angles per finger: flexion of its three joints and abduction of the first, rad, as in assets_build.open_hand.poses
(axes of the flat rest pose).  Limits: AAOS for fingers (knuckle 90 to -30 passive, middle joint
100, last joint 70 to 80; thumb 50 and 80), widened to a relaxed hand's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.body.joint_sets import MANO16, MANO16_PARENTS
from backend.body.model import BodyModel

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_PALM = {"thumb": (0.0, -0.07, -1.0)}
# low and high, rad: flexion of the three joints, abduction of the first
LIMITS = np.array([
    ((-0.5, 0.8), (-0.3, 0.9), (-0.4, 1.3), (-0.5, 0.5)),
    *[((-0.45, 1.57), (-0.05, 1.8), (-0.15, 1.3), (-0.30, 0.30))] * 4,
], np.float32)  # (5, 4, 2)  # fmt: skip
# fmt: off
_CURLED = {"index": (1.4, 1.65, 0.75, -0.1), "middle": (1.45, 1.65, 0.75, 0.0), "ring": (1.45, 1.65, 0.75, 0.1),
    "pinky": (1.4, 1.6, 0.75, 0.2)}
# fmt: on
_THUMB_IN = (0.35, 0.6, 0.8, 0.1)
_Hand = dict[str, tuple[float, float, float, float]]


def _named() -> dict[str, _Hand]:
    # fmt: off
    spread: _Hand = {"thumb": (-0.3, -0.1, -0.1, -0.25), "index": (-0.05, 0.05, 0.0, 0.14),
        "middle": (-0.05, 0.05, 0, 0), "ring": (-0.05, 0.05, 0, -0.12), "pinky": (-0.05, 0.05, 0, -0.22)}
    # fmt: on
    straight: _Hand = {f: spread[f] for f in FINGERS}

    def fist_but(*out: str, thumb: tuple[float, float, float, float] = _THUMB_IN) -> _Hand:
        return {"thumb": thumb, **{f: (straight[f] if f in out else _CURLED[f]) for f in FINGERS[1:]}}

    def all_fingers(a: float, b: float, c: float, fan: float = 0.0, thumb=(0.2, 0.2, 0.3, 0.1)) -> _Hand:
        return {
            "thumb": thumb,
            **{f: (a, b, c, fan * k) for f, k in zip(FINGERS[1:], (1.0, 0.0, -0.8, -1.5), strict=True)},
        }

    out_thumb = (-0.35, -0.2, -0.25, -0.3)
    # fmt: off
    return {
        "flat": {}, "spread": spread, "fist": fist_but(), "thumb up": fist_but(thumb=out_thumb),
        "point": fist_but("index"), "gun": fist_but("index", thumb=out_thumb), "victory": fist_but("index", "middle"),
        "three": fist_but("index", "middle", "ring"), "four": {**straight, "thumb": (0.5, 0.6, 0.6, 0.2)},
        "five": spread, "call": fist_but("pinky", thumb=out_thumb), "horns": fist_but("index", "pinky"),
        "little finger": fist_but("pinky"), "scout": fist_but("index", "middle", "ring", thumb=(0.5, 0.7, 0.8, 0.2)),
        "relaxed": {"thumb": (0.1, 0.15, 0.2, 0), "index": (0.25, 0.4, 0.25, -0.06), "middle": (0.35, 0.5, 0.3, 0),
            "ring": (0.42, 0.55, 0.3, 0.06), "pinky": (0.5, 0.5, 0.3, 0.14)},
        "limp": all_fingers(0.7, 0.6, 0.35),
        "pinch": {"thumb": (0.3, 0.2, 0.45, 0.1), "index": (0.85, 0.85, 0.35, 0), "middle": (0.45, 0.4, 0.2, 0),
            "ring": (0.3, 0.35, 0.2, 0), "pinky": (0.2, 0.3, 0.2, 0)},
        "ok": {**straight, "thumb": (0.35, 0.3, 0.5, 0.12), "index": (0.85, 0.9, 0.5, 0)},
        "tripod": {"thumb": (0.35, 0.3, 0.4, 0.12), "index": (0.75, 0.7, 0.3, 0), "middle": (0.85, 0.8, 0.4, 0.02),
            "ring": (1.0, 1.2, 0.6, 0.05), "pinky": (1.1, 1.2, 0.6, 0.1)},
        "key grip": {**{f: _CURLED[f] for f in ("middle", "ring", "pinky")}, "index": (1.1, 1.3, 0.6, 0),
            "thumb": (0.2, 0.1, 0.3, 0.25)},
        "power grip": all_fingers(0.95, 1.1, 0.5, thumb=(0.4, 0.4, 0.5, 0.1)),
        "cup grip": all_fingers(0.6, 0.7, 0.35, thumb=(0.1, 0.2, 0.3, 0)),
        "ball grip": all_fingers(0.45, 0.6, 0.4, 0.12, (-0.1, 0.1, 0.3, 0.1)),
        "hook grip": all_fingers(0.1, 1.5, 0.8, thumb=(0.1, 0.1, 0.1, 0)),
        "table top": all_fingers(1.4, 0.05, 0.0), "claw": all_fingers(-0.3, 1.3, 0.9, 0.08, (-0.2, 0.3, 0.6, 0)),
        "stretched": all_fingers(-0.35, -0.02, -0.1, 0.14, out_thumb), "snap": {**fist_but("index"),
            "middle": (0.9, 0.9, 0.4, 0), "thumb": (0.3, 0.3, 0.5, 0.12)},
        "vulcan": {"thumb": out_thumb, "index": (0, 0, 0, 0.1), "middle": (0, 0, 0, 0.16), "ring": (0, 0, 0,
            -0.18), "pinky": (0, 0, 0, -0.24)},
        "gather": all_fingers(0.85, 0.5, 0.2, -0.06, (0.45, 0.25, 0.35, 0.15)), "type": all_fingers(0.3, 0.7, 0.4,
            0.06),
    }
    # fmt: on


NAMED = _named()


def joint_axes(joints: np.ndarray) -> np.ndarray:
    """(16, 2, 3) axes of flexion and of abduction to the thumb's side, from rest joints (16, 3)."""
    axes = np.zeros((16, 2, 3))
    for j in range(1, 16):
        last = j % 3 == 0
        along = joints[j] - joints[MANO16_PARENTS[j]] if last else joints[j + 1] - joints[j]
        along = along / np.linalg.norm(along)
        bend = np.cross(along, _PALM.get(MANO16[j][:-1], (0.0, -1.0, 0.0)))
        bend /= np.linalg.norm(bend)
        axes[j] = bend, np.cross(along, bend)
    return axes


@dataclass
class HandPoses:
    """n hand poses.

    angles (n, 5, 4) rad as LIMITS, pose (n, 16, 3) axis-angle, the wrist's 0, betas (n, B), name (n,).
    """

    angles: np.ndarray
    pose: np.ndarray
    betas: np.ndarray
    name: np.ndarray


class HandSampler:
    """Draws poses of the right hand."""

    names = tuple(NAMED)

    def __init__(self, body: BodyModel) -> None:
        self._body = body
        self._axes = joint_axes(body.joints_template.double().cpu().numpy())
        self._archetypes = np.zeros((len(NAMED), 5, 4), np.float32)
        for k, hand in enumerate(NAMED.values()):
            for finger, angles in hand.items():
                self._archetypes[k, FINGERS.index(finger)] = angles
        self.num_betas = body.num_betas

    def pose(self, angles: np.ndarray) -> np.ndarray:
        """(n, 16, 3) axis-angle from angles (n, 5, 4)."""
        pose = np.zeros((len(angles), 16, 3))
        for f, finger in enumerate(FINGERS):
            j = MANO16.index(f"{finger}1")
            for k in range(3):
                pose[:, j + k] = angles[:, f, k, None] * self._axes[j + k, 0]
            pose[:, j] += angles[:, f, 3, None] * self._axes[j, 1]
        return pose.astype(np.float32)

    def sample(self, rng: np.random.Generator, count: int) -> HandPoses:
        """`count` poses within LIMITS whose fingers do not intersect."""
        kept: list[HandPoses] = []
        count_kept = 0
        while count_kept < count:
            some = self._candidates(rng, 512)
            good = ~self.collides(some.pose, some.betas)
            kept.append(HandPoses(*(getattr(some, n)[good] for n in ("angles", "pose", "betas", "name"))))
            count_kept += int(good.sum())
        return HandPoses(
            *(np.concatenate([getattr(k, n) for k in kept])[:count] for n in ("angles", "pose", "betas", "name"))
        )

    def _candidates(self, rng: np.random.Generator, count: int) -> HandPoses:
        name = rng.integers(len(self._archetypes), size=count)
        angles = self._archetypes[name].copy()
        other = self._archetypes[rng.integers(len(self._archetypes), size=count)]
        blend = rng.random((count, 1, 1)).astype(np.float32) * (rng.random((count, 1, 1)) < 0.4)
        angles += (other - angles) * blend
        swap = (rng.random((count, 5)) < 0.5) & (rng.random((count, 1)) < 0.25)
        angles[swap] = self._archetypes[rng.integers(len(self._archetypes), size=count)][swap]
        scale = np.array([0.3, 1.0, 1.6], np.float32)[rng.integers(3, size=count)][:, None, None]
        sd = np.array([0.15, 0.15, 0.12, 0.06], np.float32)
        angles += rng.standard_normal(angles.shape, np.float32) * sd * scale
        angles = np.clip(angles, LIMITS[..., 0], LIMITS[..., 1])
        betas = np.clip(rng.standard_normal((count, self.num_betas), np.float32), -2.5, 2.5)
        return HandPoses(angles, self.pose(angles), betas, name)

    def collides(self, pose: np.ndarray, betas: np.ndarray) -> np.ndarray:
        """(n,) bool: two fingers' bones are closer than their thickness, or a fingertip is inside the palm."""
        import torch

        from training.synthetic.pose_filters import segment_distance

        with torch.inference_mode():
            from backend.geometry.rotations import matrix_from_axis_angle

            rotations = matrix_from_axis_angle(torch.as_tensor(pose, dtype=torch.float32))
            at_rest = self._body.rest_joints(torch.as_tensor(betas, dtype=torch.float32))
            global_rotations, joints = (t.numpy() for t in self._body.chain(rotations, at_rest))
        rest = at_rest.numpy()
        points = []
        for finger in FINGERS:
            j = MANO16.index(f"{finger}1")
            # the last bone is about four fifths as long as the one before
            bone = (rest[:, j + 2] - rest[:, j + 1]) * 0.8
            tip = joints[:, j + 2] + np.einsum("nab,nb->na", global_rotations[:, j + 2], bone)
            points.append(np.stack([joints[:, j], joints[:, j + 1], joints[:, j + 2], tip]))
        size = np.linalg.norm(rest[:, 4], axis=-1) / 0.0915  # palm size relative to the mean hand's
        bad = np.zeros(len(pose), bool)
        for a in range(5):
            for b in range(a + 1, 5):
                pairs = [(m, k) for m in range(1 if a == 0 else 0, 3) for k in range(3)]
                ends = [np.stack([points[f][at + d] for at in column]).transpose(0, 2, 1) for f, column, d in (
                    (a, [m for m, _ in pairs], 0), (a, [m for m, _ in pairs], 1),
                    (b, [k for _, k in pairs], 0), (b, [k for _, k in pairs], 1),
                )]  # fmt: skip
                # adjacent fingers touch at 13 mm, pinching tips at 9
                bad |= segment_distance(*ends).min(0) < (0.0095 if a == 0 else 0.0105) * size
        for finger in points[1:]:
            bad |= finger[3, :, 1] > 0.002  # a tip behind the palm has passed through it
        return bad
