"""Edges and triangles of meshes."""

from __future__ import annotations

import numpy as np
import torch

from backend.body.mesh_levels import adjacency_of
from training.losses.surface import Surface, three_cycles

TETRAHEDRON_OPEN = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1]])  # its base (1, 2, 3) is no face


def test_edges_come_once():
    surface = Surface(TETRAHEDRON_OPEN)
    assert surface.edges.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert surface.face_edges.shape == (9, 2)


def test_three_cycles_hold_triangles_that_are_no_faces():
    """So METRO's list got its nine more: with the quirk they are in the normal loss, else faces are the mesh's own."""
    found = three_cycles(adjacency_of(TETRAHEDRON_OPEN, 4))
    assert found.tolist() == [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]


def test_neighbour_means():
    means = Surface(TETRAHEDRON_OPEN).normalised_adjacency(4).to_dense()
    torch.testing.assert_close(means.sum(1), torch.ones(4))
    torch.testing.assert_close(means[0], torch.tensor([0, 1, 1, 1]) / 3)
