"""Mesh levels of the open body and hand: decimation, down- and upsampling, the cache."""

import hashlib

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from backend.body.hierarchy import mesh_hierarchy
from backend.body.loader import load_body
from backend.body.mesh_levels import body_levels
from backend.errors import BadInput
from backend.paths import HOME_VARIABLE


@pytest.fixture(scope="module")
def open_mesh():
    body = load_body("open")
    return body.v_template.double().numpy(), body.faces.numpy()


@pytest.fixture(scope="module")
def levels(open_mesh, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(tmp_path_factory.mktemp("home")))
        first = mesh_hierarchy(*open_mesh)
        again = mesh_hierarchy(*open_mesh)  # from the cache
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.faces, b.faces)
        assert abs(a.up - b.up).max() == 0
    return first


def test_counts_and_closed_surfaces(levels):
    assert [level.down.shape for level in levels] == [(1723, 6890), (431, 6890)]
    for level in levels:
        edges = np.sort(np.concatenate([level.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]), axis=1)
        unique, counts = np.unique(edges, axis=0, return_counts=True)
        assert (counts == 2).all() and len(level.vertices) - len(unique) + len(level.faces) == 2


def test_levels_are_those_that_weights_were_trained_on(levels):
    """With other vertices, trained weights would have no mesh."""
    content = b"".join(np.int64(part).tobytes() for one in levels for part in (one.vertices, one.faces))
    assert hashlib.sha256(content).hexdigest()[:16] == "a46f3646fffcf5a7"


def test_down_selects_and_up_interpolates(levels, open_mesh):
    points, _ = open_mesh
    for level, mean_mm in zip(levels, (1.5, 5.0), strict=True):
        np.testing.assert_array_equal(level.down @ points, points[level.vertices])
        assert level.up.min() >= 0 and abs(level.up.sum(1) - 1).max() < 1e-12
        again = level.up @ (level.down @ points)
        np.testing.assert_allclose(again[level.vertices], points[level.vertices], atol=1e-12)
        assert np.linalg.norm(again - points, axis=1).mean() < mean_mm / 1e3


def test_a_mesh_that_is_too_small_is_refused(home):
    tetrahedron = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    with pytest.raises(BadInput, match="cannot be simplified"):
        mesh_hierarchy(np.eye(4)[:, :3], tetrahedron, (3,))


def test_a_mesh_with_a_missing_or_reversed_triangle_is_refused(open_mesh):
    points, faces = open_mesh
    for broken in (faces[1:], np.concatenate([faces[:1, ::-1], faces[1:]])):
        with pytest.raises(BadInput, match="not a closed surface"):
            mesh_hierarchy(points, broken)


@pytest.fixture(scope="module")
def hand_mesh():
    hand = load_body("open_hand")
    return hand.v_template.double().numpy(), hand.faces.numpy()


def boundary_of(faces):
    """Directed boundary edges as a dict start -> end."""
    directed_edges = {(int(t[k]), int(t[(k + 1) % 3])) for t in faces for k in range(3)}
    return {a: b for a, b in directed_edges if (b, a) not in directed_edges}


def test_a_hand_keeps_its_boundary(hand_mesh, home):
    points, faces = hand_mesh
    levels = mesh_hierarchy(points, faces, (389, 195, 98))
    fine_boundary = boundary_of(faces)
    size = np.ptp(points[list(fine_boundary)], axis=0).max()
    for level, mean_mm in zip(levels, (0.5, 1.5, 4.0), strict=True):
        boundary = boundary_of(level.faces)
        assert len(boundary) >= 4 and set(boundary) == set(boundary.values())
        loop = [next(iter(boundary))]
        while boundary[loop[-1]] != loop[0]:
            loop.append(boundary[loop[-1]])
        assert len(loop) == len(boundary)  # one loop
        assert set(level.vertices[loop].tolist()) <= set(fine_boundary)
        assert np.ptp(points[level.vertices[loop]], axis=0).max() > 0.8 * size
        edges = {frozenset(e) for t in level.faces.tolist() for e in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0]))}
        assert len(level.vertices) - len(edges) + len(level.faces) == 1  # Euler: a disc
        assert sum(e <= set(loop) for e in edges) == len(loop)  # no chord: the boundary does not touch itself
        np.testing.assert_array_equal(level.down @ points, points[level.vertices])
        assert level.up.min() >= 0 and abs(level.up.sum(1) - 1).max() < 1e-12
        again = level.up @ (level.down @ points)
        assert np.linalg.norm(again - points, axis=1).mean() < mean_mm / 1e3


def test_levels_of_a_hand(hand_mesh, home):
    levels = body_levels(*hand_mesh, (195,))
    assert levels.sizes == (778, 195)
    assert levels.adjacency[0].nnz == 2 * (3 * 778 - 3 - 16) + 778  # Euler, with 16 boundary edges


def test_non_manifold_meshes_are_refused(hand_mesh):
    """A vertex that two fans of faces share, and an edge of three faces."""
    points, faces = hand_mesh
    loop = boundary_of(faces)
    a = next(iter(loop))
    fan = np.array([[a, len(points), len(points) + 1], [a, len(points) + 1, len(points) + 2]])
    more = np.concatenate([points, points[a] + np.eye(3) * 0.01])
    inner = next((int(t[0]), int(t[1])) for t in faces if not set(t[:2].tolist()) & set(loop))
    third = np.array([[*inner, len(points)]])
    for extra in (fan, third):
        with pytest.raises(BadInput, match="clean borders"):
            mesh_hierarchy(more, np.concatenate([faces, extra]), (195,))


def test_a_cache_that_is_damaged_or_cannot_be_written_is_ignored(home, monkeypatch):
    points, faces = sphere()
    (first,) = mesh_hierarchy(points, faces, (40,))
    (stored,) = (home / "cache").iterdir()
    stored.write_bytes(b"half a file")
    (second,) = mesh_hierarchy(points, faces, (40,))
    assert stored.stat().st_size > 100
    monkeypatch.setenv(HOME_VARIABLE, str(stored))  # a file where the folder should be
    (third,) = mesh_hierarchy(points, faces, (40,))
    for other in (second, third):
        np.testing.assert_array_equal(first.faces, other.faces)


def sphere():
    """162 vertices on a sphere and the faces of their convex hull, counter-clockwise from outside."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(162, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    faces = ConvexHull(points).simplices
    a, b, c = (points[faces[:, k]] for k in range(3))
    inwards = (np.cross(b - a, c - a) * a).sum(1) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return points, faces
