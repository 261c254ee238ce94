"""The hand's mesh: cut at the wrist, decimated to MANO's 778 vertices with a border of 16, and skinned."""

from __future__ import annotations

import numpy as np

from assets_build.open_body.decimate import Decimation, HalfMesh, split_quads
from assets_build.open_body.skeleton import diffused
from assets_build.open_body.source import Source

VERTICES, BORDER = 778, 16
CUT = 0.033  # m from the wrist joint up the arm, between two edge loops
MAX_INFLUENCES = 4
_EVEN = 8e-4  # a hand's triangles are smaller than a body's, and its creases matter


def cut(source: Source, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Q,) bool quads of the hand and (V,) bool border vertices.  points: (V, 3) m, hand frame."""
    arm = [k for k, n in enumerate(source.bone_names) if n.endswith(".R") and n.startswith(_ARM)]
    inside = (source.weights[:, arm].sum(1) > 0.5) & (points[:, 0] < CUT) & source.body
    taken = inside[source.quads].all(1)
    quads = source.quads[taken]
    edges = np.sort(np.concatenate([quads[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 3), (3, 0))]), axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    loop = unique[counts == 1]
    border = np.zeros(len(points), bool)
    border[loop] = True
    if border.sum() != len(loop) or np.bincount(loop.ravel()).max() != 2:
        raise RuntimeError("The border at the wrist is not a single loop: move CUT between two edge loops.")
    return taken, border


_ARM = ("lowerarm", "wrist", "metacarpal", "finger")


def simplify(source: Source, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Remaining source vertices (778,), faces (1538, 3), UV corners (1538, 3).  points: (V, 3) m, flat hand."""
    taken, border = cut(source, points)
    triangles, corners = split_quads(points, source.quads[taken], source.quad_uv[taken])
    importance = np.ones(len(points))
    nothing = np.zeros(len(points), bool)
    decimation = Decimation(
        HalfMesh(points, triangles, corners, source.uv, border, importance, nothing, mirrored=False, even=_EVEN)
    )
    count = len(decimation.incident_faces)
    excess = int(border.sum()) - BORDER
    decimation.run(count, count - excess, border)
    decimation.run(count - excess, VERTICES, ~border)
    kept = np.array(sorted(decimation.incident_faces))
    index = {int(v): k for k, v in enumerate(kept)}
    faces = np.array([[index[v] for v in corner] for corner in decimation.faces.values()])
    return kept, faces, np.array(list(decimation.face_uv.values()))


def diffuse_weights(weights: np.ndarray, faces: np.ndarray, rounds: int = 2) -> np.ndarray:
    """(V, 16) the weights, slightly diffused, with MAX_INFLUENCES at most, rows sum to 1 in float32."""
    weights = diffused(weights, faces, rounds)
    limit = -np.sort(-weights, axis=1)[:, MAX_INFLUENCES - 1 : MAX_INFLUENCES]
    weights = np.where(weights >= np.maximum(limit, 1e-3), weights, 0)
    weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32).astype(float)
    return weights / weights.sum(1, keepdims=True)
