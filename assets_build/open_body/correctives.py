"""Pose blend shapes that correct the volume loss of linear blend skinning at bent joints.

Target: dual quaternion skinning (Kavan et al. 2008), which neither collapses elbows nor wrings wrists.  Its difference
to linear blend skinning, transformed to the rest pose, is fitted by ridge regression on SMPL's features R - I, for
each vertex those of the joints that move it.
"""

from __future__ import annotations

import numpy as np

from assets_build.open_body.skeleton import MIRROR, PARENTS
from backend.body.joint_sets import SMPL24
from backend.body.keypoint_fit.priors import joint_priors
from backend.geometry import rotations_numpy as rot

POSES = 1200
RIDGE = 0.02
NEGLIGIBLE = 5e-5  # m


def random_poses(count: int, seed: int) -> np.ndarray:
    """(count, 24, 3) axis-angle within joint limits; the root's is 0, each other joint's in a third of the poses."""
    rng = np.random.default_rng(seed)
    _, _, low, high = joint_priors(SMPL24)
    low, high = np.maximum(low, -1.6), np.minimum(high, 2.4)
    low[[1, 2], 0] = -2.2
    poses = rng.uniform(low, high, (count, 24, 3)) * (rng.random((count, 24, 1)) > 1 / 3)
    poses[:, 0] = 0
    return poses


def forward_kinematics(
    rotations: np.ndarray, joints: np.ndarray, parents: np.ndarray = PARENTS
) -> tuple[np.ndarray, np.ndarray]:
    """Global R (J, 3, 3) and t (J, 3), x -> R x + t, of one pose: rotations (J, 3, 3), rest joints (J, 3) m."""
    global_rotations, positions = np.empty_like(rotations), np.empty_like(joints)
    global_rotations[0], positions[0] = rotations[0], joints[0]
    for j in range(1, len(joints)):
        p = parents[j]
        global_rotations[j] = global_rotations[p] @ rotations[j]
        positions[j] = positions[p] + global_rotations[p] @ (joints[j] - joints[p])
    return global_rotations, positions - np.einsum("jab,jb->ja", global_rotations, joints)


def linear_blend_skinning(points, weights, global_rotations, translations) -> tuple[np.ndarray, np.ndarray]:
    """Posed points (V, 3) and the blended matrices (V, 3, 3)."""
    blended = np.einsum("vj,jab->vab", weights, global_rotations)
    return np.einsum("vab,vb->va", blended, points) + weights @ translations, blended


def dual_quaternion_skinning(points, weights, global_rotations, translations) -> np.ndarray:
    """Posed points (V, 3) by dual quaternion blending, signs aligned with each vertex's dominant joint."""
    real = _quaternions(global_rotations)
    dual = 0.5 * _product(np.concatenate([np.zeros((len(translations), 1)), translations], 1), real)
    strongest = real[weights.argmax(1)]
    signed = weights * np.where(strongest @ real.T < 0, -1.0, 1.0)
    r, d = signed @ real, signed @ dual
    length = np.linalg.norm(r, axis=1, keepdims=True)
    r, d = r / length, d / length
    conjugate = r * [1, -1, -1, -1]
    moved = _product(_product(r, np.concatenate([np.zeros((len(points), 1)), points], 1)), conjugate)
    return moved[:, 1:] + 2 * _product(d, conjugate)[:, 1:]


def _quaternions(matrices: np.ndarray) -> np.ndarray:
    vector = rot.log(matrices)
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.concatenate([np.cos(angle / 2), 0.5 * np.sinc(angle / (2 * np.pi)) * vector], -1)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    w1, x1, y1, z1 = np.moveaxis(a, -1, 0)
    w2, x2, y2, z2 = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        -1,
    )


def fit(points: np.ndarray, joints: np.ndarray, weights: np.ndarray, mirror: np.ndarray, seed: int = 1) -> np.ndarray:
    """posedirs (V, 3, 207), mirror-symmetric, 0 where a joint has no influence."""
    rotations = rot.exp(random_poses(POSES, seed))
    posedirs = _mirrored_mean(regress(points, joints, weights, rotations, PARENTS), mirror)
    posedirs[np.abs(posedirs) < NEGLIGIBLE] = 0
    return posedirs


def regress(
    points: np.ndarray, joints: np.ndarray, weights: np.ndarray, rotations: np.ndarray, parents: np.ndarray
) -> np.ndarray:
    """posedirs (V, 3, 9 (J - 1)), fitted on poses `rotations` (N, J, 3, 3); 0 where a joint has no influence."""
    count, features_count = len(rotations), 9 * (len(parents) - 1)
    features = (rotations[:, 1:] - np.eye(3)).reshape(count, -1)
    targets = np.empty((count, len(points), 3), np.float32)
    for n in range(count):
        global_rotations, translations = forward_kinematics(rotations[n], joints, parents)
        posed, blended = linear_blend_skinning(points, weights, global_rotations, translations)
        offset = dual_quaternion_skinning(points, weights, global_rotations, translations) - posed
        # to the rest pose; nearly singular blends are left out
        determinant = np.linalg.det(blended)
        safe = np.where((determinant > 0.2)[:, None, None], blended, np.eye(3))
        targets[n] = np.linalg.solve(safe, offset[..., None])[..., 0] * (determinant > 0.2)[:, None]
    posedirs = np.zeros((len(points), 3, features_count))
    active = _active_joints(weights, parents)
    patterns, group = np.unique(active, axis=0, return_inverse=True)
    for g, pattern in enumerate(patterns):
        columns = np.nonzero(np.repeat(pattern[1:], 9))[0]
        if not len(columns):
            continue
        vertices = np.nonzero(group == g)[0]
        a = features[:, columns]
        b = targets[:, vertices].reshape(count, -1)
        solved = np.linalg.solve(a.T @ a + RIDGE * count * np.eye(len(columns)), a.T @ b)
        posedirs[np.ix_(vertices, np.arange(3), columns)] = solved.T.reshape(len(vertices), 3, -1)
    return posedirs


def _active_joints(weights: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """(V, J) bool: joints whose two parts both influence a vertex; only these need correctives."""
    influences = weights > 5e-3
    active = np.zeros_like(influences)
    for j in range(1, len(parents)):
        active[:, j] = influences[:, j] & (weights[:, j] < 0.995)
    # and joints whose parent has influence
    for j in range(1, len(parents)):
        active[:, j] |= influences[:, j] & influences[:, parents[j]]
    return active


def _mirrored_mean(posedirs: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    sign = np.array([-1.0, 1, 1])
    entries = posedirs.reshape(len(posedirs), 3, 23, 3, 3)
    partner = np.array(MIRROR[1:]) - 1
    image = entries[mirror][:, :, partner] * np.multiply.outer(sign, np.multiply.outer(sign, sign))[None, :, None]
    return ((entries + image) / 2).reshape(posedirs.shape)
