"""Coarser meshes of the open body."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from backend.body.hierarchy import mesh_hierarchy
from backend.body.loader import load_body
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


def test_down_selects_and_up_interpolates(levels, open_mesh):
    points, _ = open_mesh
    for level, mean_mm in zip(levels, (1.5, 5.0), strict=True):
        np.testing.assert_array_equal(level.down @ points, points[level.vertices])
        assert level.up.min() >= 0 and abs(level.up.sum(1) - 1).max() < 1e-12
        again = level.up @ (level.down @ points)
        np.testing.assert_allclose(again[level.vertices], points[level.vertices], atol=1e-12)
        assert np.linalg.norm(again - points, axis=1).mean() < mean_mm / 1e3


def test_too_small_a_mesh_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    tetrahedron = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    with pytest.raises(BadInput, match="cannot be simplified"):
        mesh_hierarchy(np.eye(4)[:, :3], tetrahedron, (3,))


def test_an_open_mesh_is_refused(open_mesh):
    points, faces = open_mesh
    with pytest.raises(BadInput, match="not a closed surface"):
        mesh_hierarchy(points, faces[1:])
    with pytest.raises(BadInput, match="not a closed surface"):
        mesh_hierarchy(points, np.concatenate([faces[:1, ::-1], faces[1:]]))


def test_a_cache_that_is_damaged_or_out_of_reach_is_done_without(tmp_path, monkeypatch):
    points, faces = sphere()
    home = tmp_path / "home"
    monkeypatch.setenv(HOME_VARIABLE, str(home))
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
    """162 vertices on a sphere, by its convex hull; faces turned outwards."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(162, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    faces = ConvexHull(points).simplices
    a, b, c = (points[faces[:, k]] for k in range(3))
    inwards = (np.cross(b - a, c - a) * a).sum(1) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return points, faces
