"""The decimation, on half of the open body: vertices, seams, and the result at the time of the build."""

import hashlib

import numpy as np

from assets_build.open_body.decimate import Decimation, HalfMesh
from backend.body.registry import OPEN_BODY

FEWER = 1200
# of the triangles and UV corners when the asset was built
DIGEST = "df81dc6be078ae539185dca251c2d61a"


def half_body() -> HalfMesh:
    with np.load(OPEN_BODY) as file:
        asset = {name: file[name] for name in ("v_template", "f", "uv", "uv_faces", "mirror", "part_ids")}
    points = asset["v_template"].astype(np.float64)
    middle = asset["mirror"] == np.arange(len(points))
    left = ((points[:, 0] > 0) | middle)[asset["f"]].all(1)
    faces, corners = asset["f"][left].astype(np.int64), asset["uv_faces"][left].astype(np.int64)
    importance = np.where(asset["part_ids"] == 15, 0.35, 1.0)
    return HalfMesh(points, faces, corners, asset["uv"], middle, importance, np.zeros(len(points), bool))


def test_half_a_body_loses_vertices_in_pairs_and_keeps_its_seams():
    half = half_body()
    decimation = Decimation(half)
    decimation.run(len(half.points), len(half.points) - FEWER)
    alive = np.array(sorted(decimation.incident_faces))
    on_plane = half.middle[alive].sum()
    assert 2 * len(alive) - on_plane == len(half.points) - FEWER
    faces = np.array([decimation.faces[f] for f in decimation.faces])
    corners = np.array([decimation.face_uv[f] for f in decimation.faces])
    edges = np.sort(np.concatenate([faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]), axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    assert counts.max() == 2  # a surface, whose border is the mirror plane
    assert half.middle[unique[counts == 1]].all()
    # a corner's UV is one of its vertex
    had = set(zip(half.triangles.ravel().tolist(), half.triangle_uv.ravel().tolist(), strict=True))
    assert set(zip(faces.ravel().tolist(), corners.ravel().tolist(), strict=True)) <= had
    content = faces.astype(np.int64).tobytes() + corners.astype(np.int64).tobytes()
    assert hashlib.sha256(content).hexdigest()[:32] == DIGEST
