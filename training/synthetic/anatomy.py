"""Anatomical angles of the body: names, limits, and the joint rotations that they stand for.

A pose is a vector of D angles in radians with their anatomical names (flexion, abduction, medial rotation).  Signs are
the same on both sides, so that limits, mirroring and blending work angle by angle.

Ranges: the American Academy of Orthopaedic Surgeons' normal ranges of motion ("Joint Motion: Method of Measuring and
Recording", 1965; quoted from memory, rounded to 5 degrees), widened where marked: passive ranges of kneeling,
squatting and athletes.  Spine and neck are totals over their joints.  A shoulder's elevation of 180 degrees is
collar and arm together.
"""

from __future__ import annotations

import numpy as np

from backend.body.joint_sets import SMPL24

# degrees, low and high
_SIDE: dict[str, tuple[float, float]] = {
    "hip_flex": (-25, 135),  # AAOS 120, extension 30; 135 passive, with the knee bent
    "hip_abduct": (-30, 60),  # AAOS 45; 60 for dancers and tailor's seat
    "hip_turn_out": (-45, 55),  # medial 45, lateral 45; 55 for tailor's seat
    "knee_flex": (0, 150),  # AAOS 135; 150 kneeling on the heels
    "knee_turn": (-10, 10),
    "ankle_up": (-50, 30),  # plantar 50, dorsal 20; 30 under load in a squat
    "ankle_in": (-15, 30),  # eversion 15, inversion 35
    "toes_up": (-20, 60),  # AAOS big toe: 45 and 70
    "collar_up": (-10, 30),
    "collar_forward": (-20, 25),
    # of the upper arm from sideways: horizontal flexion 135, extension 45 (75 when hanging)
    "arm_forward": (-75, 135),
    "arm_up": (-95, 90),  # from sideways: hanging -90, overhead 90
    "arm_turn_in": (-95, 90),  # AAOS: lateral 90, medial 70; 90 hand behind the back
    "elbow_flex": (0, 150),  # AAOS 150
    "forearm_in": (-85, 85),  # pronation 80, supination 80
    "wrist_flex": (-70, 80),  # AAOS: extension 70, flexion 80
    "wrist_radial": (-30, 20),  # ulnar 30, radial 20
}
_MIDDLE: dict[str, tuple[float, float]] = {
    "spine_flex": (-30, 80),  # AAOS: extension 25-30, flexion 80-90
    "spine_side": (-35, 35),  # to the left +
    "spine_turn": (-45, 45),  # to the left +
    "neck_flex": (-50, 45),  # AAOS: 45 each way
    "neck_side": (-40, 40),
    "neck_turn": (-70, 70),  # AAOS 60-80
    "root_lean": (-180, 180),  # of the pelvis, forwards +
    "root_side": (-180, 180),  # to the left +
}
SIDE_NAMES = tuple(_SIDE)
NAMES = (*(f"left_{n}" for n in _SIDE), *(f"right_{n}" for n in _SIDE), *_MIDDLE)
INDEX = {name: k for k, name in enumerate(NAMES)}
COUNT = len(NAMES)
LIMITS = np.deg2rad(np.array([*_SIDE.values(), *_SIDE.values(), *_MIDDLE.values()], np.float32))  # (D, 2)
_HALF = len(_SIDE)
_ODD = np.array(
    [-1.0 if n in ("spine_side", "spine_turn", "neck_side", "neck_turn", "root_side") else 1.0 for n in _MIDDLE],
    np.float32,
)
SIDES = {"left": slice(0, _HALF), "right": slice(_HALF, 2 * _HALF)}
LEG = tuple(n for n in SIDE_NAMES if n.split("_")[0] in ("hip", "knee", "ankle", "toes"))
UPPER = np.array(
    [k for k, n in enumerate(NAMES) if n.split("_", 1)[-1] not in LEG and not n.startswith(("root", "spine"))]
)
# share of the total angle per joint
_SPINE = (("spine1", 0.4), ("spine2", 0.3), ("spine3", 0.3))
_NECK = (("neck", 0.5), ("head", 0.5))
_J = {name: k for k, name in enumerate(SMPL24)}
_SWINGS = tuple(_J[f"{s}_{n}"] for s in ("left", "right") for n in ("shoulder", "elbow"))


def mirrored(angles: np.ndarray) -> np.ndarray:
    """(n, D) -> the mirror images: sides exchanged, lateral bends and axial rotations negated."""
    left, right = SIDES["left"], SIDES["right"]
    return np.concatenate([angles[:, right], angles[:, left], angles[:, 2 * _HALF :] * _ODD], 1)


def limited(angles: np.ndarray) -> np.ndarray:
    """(n, D) clipped to the limits.  An arm extends backwards beyond 30 degrees only as far as it hangs down."""
    angles = np.clip(angles, LIMITS[:, 0], LIMITS[:, 1])
    for side in ("left", "right"):
        back, up = INDEX[f"{side}_arm_forward"], INDEX[f"{side}_arm_up"]
        least = np.deg2rad(np.float32(-30)) + np.minimum(angles[:, up], 0) * (45 / 90)
        angles[:, back] = np.maximum(angles[:, back], least)
    return angles


def within_limits(angles: np.ndarray, slack: float = 1e-4) -> np.ndarray:
    """(n,) bool: no angle was changed by `limited` by more than `slack`, rad."""
    return (np.abs(limited(angles) - angles) <= slack).all(1)


def rotations(angles: np.ndarray) -> np.ndarray:
    """(n, D) rad -> parent-relative rotations (24, 3, 3, n) float32 in SMPL's frame (x left, y up, z forward).

    Samples are the last axis, here and in `skeleton`: numpy is ten times as fast on long rows as on small matrices.
    Shoulders and elbows are swing exp(0, y, z) times twist about the arm; the others are Rx Rz Ry, so that abduction
    of a flexed hip spreads the thighs.
    """
    angles = np.ascontiguousarray(angles.T, np.float32)  # one contiguous row per angle
    count = angles.shape[1]
    x, y, z = (np.zeros((24, count), np.float32) for _ in range(3))

    def get(name: str) -> np.ndarray:
        return angles[INDEX[name]]

    x[0], z[0] = get("root_lean"), -get("root_side")
    for chain, part in ((_SPINE, "spine"), (_NECK, "neck")):
        for joint, share in chain:
            j = _J[joint]
            x[j], z[j], y[j] = (
                share * get(f"{part}_flex"),
                -share * get(f"{part}_side"),
                share * get(f"{part}_turn"),
            )
    for side, sign in (("left", 1.0), ("right", -1.0)):

        def of(name: str, side: str = side) -> np.ndarray:
            return get(f"{side}_{name}")

        j = _J[f"{side}_hip"]
        x[j], z[j], y[j] = -of("hip_flex"), sign * of("hip_abduct"), sign * of("hip_turn_out")
        j = _J[f"{side}_knee"]
        x[j], y[j] = of("knee_flex"), sign * of("knee_turn")
        j = _J[f"{side}_ankle"]
        x[j], z[j] = -of("ankle_up"), -sign * of("ankle_in")
        x[_J[f"{side}_foot"]] = -of("toes_up")
        j = _J[f"{side}_collar"]
        z[j], y[j] = sign * of("collar_up"), -sign * of("collar_forward")
        j = _J[f"{side}_shoulder"]
        x[j], y[j], z[j] = of("arm_turn_in"), -sign * of("arm_forward"), sign * of("arm_up")
        half = 0.5 * of("forearm_in")
        j = _J[f"{side}_elbow"]
        x[j], y[j] = half, -sign * of("elbow_flex")
        j = _J[f"{side}_wrist"]
        x[j], z[j], y[j] = half, -sign * of("wrist_flex"), -sign * of("wrist_radial")

    whole = np.empty((24, 3, 3, count), np.float32)
    out = whole.transpose(1, 2, 0, 3)
    (cx, sx), (cy, sy), (cz, sz) = ((np.cos(a), np.sin(a)) for a in (x, y, z))
    out[0, 0], out[0, 1], out[0, 2] = cz * cy, -sz, cz * sy
    out[1, 0], out[1, 1], out[1, 2] = cx * sz * cy + sx * sy, cx * cz, cx * sz * sy - sx * cy
    out[2, 0], out[2, 1], out[2, 2] = sx * sz * cy - cx * sy, sx * cz, sx * sz * sy + cx * cy
    for j in _SWINGS:
        out[:, :, j] = _swing_twist(y[j], z[j], cx[j], sx[j])
    return whole


def _swing_twist(y: np.ndarray, z: np.ndarray, cos_twist: np.ndarray, sin_twist: np.ndarray) -> np.ndarray:
    """(3, 3, n): exp(0, y, z) Rx(twist)."""
    angle = np.sqrt(y * y + z * z)
    s, c = np.sinc(angle / np.pi), 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    r00, r11, r22 = 1 - c * (y * y + z * z), 1 - c * z * z, 1 - c * y * y
    r01, r02, r12 = -s * z, s * y, c * y * z
    return np.array(
        [
            [r00, r01 * cos_twist + r02 * sin_twist, r02 * cos_twist - r01 * sin_twist],
            [-r01, r11 * cos_twist + r12 * sin_twist, r12 * cos_twist - r11 * sin_twist],
            [-r02, r12 * cos_twist + r22 * sin_twist, r22 * cos_twist - r12 * sin_twist],
        ]
    )
