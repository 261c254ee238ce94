"""Deterministic stand-in meshes with the vertex and face counts of the SMPL body and the MANO hand.

No SMPL or MANO file is needed. A UV sphere of R rings with S vertices each plus two poles has R*S + 2 vertices.
 - body: R=82, S=84 -> 6890 vertices, 13776 faces, closed, genus 0 (same counts as SMPL).
 - hand: R=97, S=8  -> 778 vertices, 1552 faces; then 7 neighbouring quads of one ring strip are dropped, which
   leaves 1538 faces and one open border of 16 vertices (same counts as MANO, which is open at the wrist).
Every quad is split along a pseudo-random diagonal, so that vertex valences vary as on a real mesh, and vertex
labels are shuffled by a fixed stride. Only a small linear congruential generator and integer arithmetic decide the
topology, so it is the same on every machine.
"""

from __future__ import annotations

import numpy as np

# (rings, segments, diagonal seed, label stride, dropped (ring, first segment) of the 7-quad window or None)
RECIPES = {"body": (82, 84, 0, 2003, None), "hand": (97, 8, 0, 3, (48, 0))}


def _bits(seed: int, count: int) -> list[int]:
    state, out = seed & 0xFFFFFFFF, []
    for _ in range(count):
        state = (1664525 * state + 1013904223) & 0xFFFFFFFF
        out.append((state >> 16) & 1)
    return out


def build_mesh(kind: str, seed: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return (vertices (V, 3) float32, faces (F, 3) int64) of the stand-in mesh `kind` ("body" or "hand")."""
    rings, segs, default_seed, stride, window = RECIPES[kind]
    seed = default_seed if seed is None else seed
    count = rings * segs + 2
    assert np.gcd(stride, count) == 1
    north, south = 0, count - 1

    def vid(r: int, s: int) -> int:
        return 1 + r * segs + s % segs

    dropped = {(window[0], (window[1] + k) % segs) for k in range(7)} if window else set()
    bits = iter(_bits(seed, (rings - 1) * segs))
    faces = [(north, vid(0, s + 1), vid(0, s)) for s in range(segs)]
    for r in range(rings - 1):
        for s in range(segs):
            bit = next(bits)
            if (r, s) in dropped:
                continue
            a, b, c, d = vid(r, s), vid(r, s + 1), vid(r + 1, s + 1), vid(r + 1, s)
            faces += [(a, b, c), (a, c, d)] if bit else [(a, b, d), (b, c, d)]
    faces += [(south, vid(rings - 1, s), vid(rings - 1, s + 1)) for s in range(segs)]

    label = (np.arange(count, dtype=np.int64) * stride) % count
    faces = label[np.asarray(faces, dtype=np.int64)]

    theta = np.pi * (np.arange(rings) + 1) / (rings + 1)
    phi = 2 * np.pi * np.arange(segs) / segs
    ring = np.stack(
        [
            0.3 * np.sin(theta)[:, None] * np.cos(phi)[None],
            0.9 * np.cos(theta)[:, None] * np.ones(segs)[None],
            0.2 * np.sin(theta)[:, None] * np.sin(phi)[None],
        ],
        -1,
    ).reshape(-1, 3)
    points = np.concatenate([[[0, 0.9, 0]], ring, [[0, -0.9, 0]]])
    verts = np.empty((count, 3), np.float32)
    verts[label] = points
    return verts, faces


def fake_regressor(joints: int, vertices: int, per_joint: int = 20) -> np.ndarray:
    """Return a deterministic sparse (joints, vertices) float32 regressor whose rows sum to 1."""
    rng = np.random.RandomState(1000 + joints)
    out = np.zeros((joints, vertices), np.float32)
    for j in range(joints):
        idx = rng.permutation(vertices)[:per_joint]
        w = rng.uniform(0.1, 1.0, per_joint)
        out[j, idx] = (w / w.sum()).astype(np.float32)
    return out


if __name__ == "__main__":
    for kind in RECIPES:
        v, f = build_mesh(kind)
        edges = np.unique(np.sort(f[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1), axis=0)
        val = np.bincount(edges.ravel())
        print(kind, v.shape, f.shape, "euler", len(v) - len(edges) + len(f), "valence", np.bincount(val).tolist())
