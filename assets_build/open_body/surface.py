"""Texture coordinates and body-part labels of the decimated skin."""

from __future__ import annotations

import numpy as np


def mirrored_uv(quads: np.ndarray, quad_uv: np.ndarray, mirror: np.ndarray) -> dict[int, int]:
    """UV index on one half of the source -> UV index of its mirror image, by matching mirrored quads."""
    by_corners = {frozenset(corners): k for k, corners in enumerate(quads.tolist())}
    partner: dict[int, int] = {}
    for corners, uv in zip(quads.tolist(), quad_uv.tolist(), strict=True):
        image = [int(mirror[v]) for v in corners]
        k = by_corners.get(frozenset(image))
        if k is None:
            continue
        other = quads[k].tolist()
        for v, index in zip(image, uv, strict=True):
            partner[index] = int(quad_uv[k][other.index(v)])
    return partner


def compact(uv: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The used UV points (T, 2) float32, clipped to 0..1, and corners (F, 3) that index them."""
    used, index = np.unique(corners, return_inverse=True)
    return np.clip(uv[used], 0, 1).astype(np.float32), index.reshape(corners.shape).astype(np.int32)


def stretched_share(uv: np.ndarray, corners: np.ndarray, points: np.ndarray, faces: np.ndarray) -> float:
    """Share of faces whose largest ratio of UV to 3D edge length is over eight times the median."""
    ratio = []
    for a, b in ((0, 1), (1, 2), (2, 0)):
        flat = np.linalg.norm(uv[corners[:, a]] - uv[corners[:, b]], axis=1)
        ratio.append(flat / np.maximum(np.linalg.norm(points[faces[:, a]] - points[faces[:, b]], axis=1), 1e-4))
    worst = np.max(ratio, 0)
    return float((worst > 8 * np.median(worst)).mean())


def part_labels(weights: np.ndarray, faces: np.ndarray, mirror: np.ndarray, mirror_joints: list[int]) -> np.ndarray:
    """(V,) joint with the largest weight; isolated vertices take their neighbours' label.

    The right half mirrors the left one, so that ties are symmetric.
    """
    labels = weights.argmax(1)
    neighbours: list[set[int]] = [set() for _ in labels]
    for a, b, c in faces.tolist():
        neighbours[a] |= {b, c}
        neighbours[b] |= {a, c}
        neighbours[c] |= {a, b}
    for _ in range(3):
        around = [labels[list(near)] for near in neighbours]
        lonely = np.array([(near == own).sum() <= 1 for near, own in zip(around, labels, strict=True)])
        labels = np.array(
            [
                np.bincount(near).argmax() if alone else own
                for near, own, alone in zip(around, labels, lonely, strict=True)
            ]
        )
    partner = np.array(mirror_joints)
    image = np.arange(len(labels)) < mirror  # one of each pair
    labels = np.where(image | (mirror == np.arange(len(labels))), labels, partner[labels[mirror]])
    return labels.astype(np.int32)
