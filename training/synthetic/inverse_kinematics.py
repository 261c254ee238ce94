"""Two-bone inverse kinematics in anatomical angles: wrists to targets, ankles to the floor.  Samples: last axis."""

from __future__ import annotations

import numpy as np

from training.synthetic.anatomy import INDEX
from training.synthetic.skeleton import inverse_rotation, matmul, rotate


def _norm(v: np.ndarray) -> np.ndarray:
    return np.sqrt((v * v).sum(-2))


def _bend(u: np.ndarray, v: np.ndarray, axis: int, sign: float, length: np.ndarray) -> np.ndarray:
    """(n,) angle f with |u + R_axis(sign f) v| closest to `length`; u, v (3, n) bones at rest."""
    i, k = [j for j in range(3) if j != axis]
    along = u[axis] * v[axis]
    cosine = u[i] * v[i] + u[k] * v[k]
    # the sine's factor is u_k v_i - u_i v_k for x and z, its negative for y
    sine = (u[k] * v[i] - u[i] * v[k]) * (sign if axis != 1 else -sign)
    wanted = (length**2 - (u * u).sum(0) - (v * v).sum(0)) / 2 - along
    size = np.sqrt(cosine**2 + sine**2)
    return np.arctan2(sine, cosine) + np.arccos(np.clip(wanted / np.maximum(size, 1e-9), -1, 1))


def _about(axis: int, angle: np.ndarray, v: np.ndarray) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = v
    return np.stack(
        [
            (x, c * y - s * z, s * y + c * z),
            (c * x + s * z, y, c * z - s * x),
            (c * x - s * y, s * x + c * y, z),
        ][axis]
    )


def rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, 3, n) smallest rotation of the direction of a (3, n) to that of b."""
    a, b = a / np.maximum(_norm(a), 1e-9), b / np.maximum(_norm(b), 1e-9)
    x, y, z = np.cross(a, b, axis=0)
    c = (a * b).sum(0)
    h = 1 / np.maximum(1 + c, 1e-3)
    return np.array(
        [
            [c + h * x * x, h * x * y - z, h * x * z + y],
            [h * x * y + z, c + h * y * y, h * y * z - x],
            [h * x * z - y, h * y * z + x, c + h * z * z],
        ]
    )


def solve_arm(angles, which, side, target, rest, global_rotations, joints, names) -> None:
    """Set the arm's `angles` (n, D) of samples `which` (bool): the wrist reaches `target` (3, n), the swivel stays."""
    sign = 1.0 if side == "left" else -1.0
    shoulder, elbow, wrist = (names.index(f"{side}_{n}") for n in ("shoulder", "elbow", "wrist"))
    u, v = rest[elbow] - rest[shoulder], rest[wrist] - rest[elbow]
    to = target - joints[shoulder]
    flex = np.clip(_bend(u, v, 1, -sign, _norm(to)), 0.02, np.deg2rad(148))
    straight = u + _about(1, -sign * flex, v)
    aimed = matmul(rotation_between(rotate(global_rotations[shoulder], straight), to), global_rotations[shoulder])
    local = matmul(inverse_rotation(global_rotations[names.index(f"{side}_collar")]), aimed)
    d = local[:, 0]  # direction of the upper arm
    angle = np.arccos(np.clip(d[0], -1, 1))
    size = np.maximum(np.hypot(d[1], d[2]), 1e-6)
    y, z = -angle * d[2] / size, angle * d[1] / size
    # the remaining twist: the second column in the frame after the swing
    axis = np.stack([np.zeros_like(y), y, z]) / np.maximum(angle, 1e-6)
    e = local[:, 1]
    back = (
        e * np.cos(angle) - np.cross(axis, e, axis=0) * np.sin(angle) + axis * (axis * e).sum(0) * (1 - np.cos(angle))
    )
    for name, value in (
        ("arm_forward", -sign * y), ("arm_up", sign * z), ("arm_turn_in", np.arctan2(back[2], back[1])),
        ("elbow_flex", flex),
    ):  # fmt: skip
        angles[which, INDEX[f"{side}_{name}"]] = value[which]


def solve_leg(angles, which, side, level, rest, global_rotations, joints, names) -> None:
    """Set the leg's `angles` of samples `which` (bool): the ankle is at height `level` (n,) m, the sole is flat."""
    sign = 1.0 if side == "left" else -1.0
    hip, knee, ankle = (names.index(f"{side}_{n}") for n in ("hip", "knee", "ankle"))
    u, v = rest[knee] - rest[hip], rest[ankle] - rest[knee]
    target = joints[ankle].copy()
    target[1] = level
    to = target - joints[hip]
    flex = np.clip(_bend(u, v, 0, 1.0, _norm(to)), 0.0, np.deg2rad(150))
    straight = u + _about(0, flex, v)
    thigh = matmul(rotation_between(rotate(global_rotations[hip], straight), to), global_rotations[hip])
    a, b, c = euler_xzy(matmul(inverse_rotation(global_rotations[names.index("pelvis")]), thigh))
    for name, value in (
        ("hip_flex", -a), ("hip_abduct", sign * b), ("hip_turn_out", sign * c), ("knee_flex", flex),
        ("knee_turn", np.zeros_like(flex)),
    ):  # fmt: skip
        angles[which, INDEX[f"{side}_{name}"]] = value[which]
    zero = np.zeros_like(flex)
    shin = matmul(thigh, _matrix_x(flex))
    ahead = global_rotations[ankle][:, 2]
    heading = np.arctan2(ahead[0], ahead[2])
    c, s = np.cos(heading), np.sin(heading)
    one = np.ones_like(c)
    flat = np.array([[c, zero, s], [zero, one, zero], [-s, zero, c]])
    a, b, _ = euler_xzy(matmul(inverse_rotation(shin), flat))
    angles[which, INDEX[f"{side}_ankle_up"]] = -a[which]
    angles[which, INDEX[f"{side}_ankle_in"]] = (-sign * b)[which]


def euler_xzy(r: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angles (n,) about x, z and y of (3, 3, n) rotations Rx Rz Ry."""
    return (
        np.arctan2(r[2, 1], r[1, 1]),
        np.arcsin(np.clip(-r[0, 1], -1, 1)),
        np.arctan2(r[0, 2], r[0, 0]),
    )


def _matrix_x(angle: np.ndarray) -> np.ndarray:
    c, s, o, i = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    return np.array([[i, o, o], [o, c, -s], [o, s, c]])
