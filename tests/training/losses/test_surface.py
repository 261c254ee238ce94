"""Edges, triangles and adjacency of meshes."""

from __future__ import annotations

import numpy as np
import torch

from backend.body.mesh_levels import adjacency_of
from training.losses.surface import Surface, three_cycles

TETRAHEDRON_OPEN = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1]])  # its base (1, 2, 3) is not a face


def test_every_edge_is_listed_once():
    surface = Surface(TETRAHEDRON_OPEN)
    assert surface.edges.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert surface.face_edges.shape == (9, 2)


def test_three_cycles_include_triangles_that_are_not_faces():
    """METRO's face list has nine of them: with upstream_quirks they are in the normal loss."""
    cycles = three_cycles(adjacency_of(TETRAHEDRON_OPEN, 4))
    assert cycles.tolist() == [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]


def test_normalised_adjacency():
    means = Surface(TETRAHEDRON_OPEN).normalised_adjacency(4).to_dense()
    torch.testing.assert_close(means.sum(1), torch.ones(4))
    torch.testing.assert_close(means[0], torch.tensor([0, 1, 1, 1]) / 3)
