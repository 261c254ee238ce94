"""Mesh levels: adjacency, and down- and upsampling between neighbouring levels."""

import copy

import numpy as np
import scipy.sparse as sp
import torch

from backend.body.loader import load_body
from backend.body.mesh_levels import SparseMatrix, body_levels


def test_upsampling_undoes_downsampling_on_the_open_body():
    body = load_body("open")
    vertices, faces = body.v_template.double().numpy(), body.faces.numpy()
    levels = body_levels(vertices, faces)
    assert levels.sizes == (6890, 1723, 431)
    for count, adjacency in zip(levels.sizes, levels.adjacency, strict=True):
        # a closed genus-0 mesh has 3 V - 6 edges (Euler); each twice, and the diagonal
        assert adjacency.nnz == 2 * (3 * count - 6) + count
        assert abs(adjacency - adjacency.T).nnz == 0
    points = [vertices]
    for up, down in zip(levels.up, levels.down, strict=True):
        assert abs((down @ up) - sp.identity(down.shape[0])).max() < 1e-6
        points.append(down @ points[-1])
        back = up @ points[-1]
        assert np.linalg.norm(back - points[-2], axis=1).mean() < 0.006


def test_a_sparse_matrix_multiplies_points_and_can_be_copied():
    rng = np.random.RandomState(0)
    dense = rng.standard_normal((7, 5)) * (rng.uniform(size=(7, 5)) < 0.5)
    matrix = copy.deepcopy(SparseMatrix(sp.csc_matrix(dense)))
    assert not matrix.state_dict()
    points = torch.as_tensor(rng.standard_normal((5, 2, 3)), dtype=torch.float32).requires_grad_()
    product = matrix(points)
    torch.testing.assert_close(product, torch.as_tensor(np.einsum("vw,wnc->vnc", dense, points.detach())).float())
    product.square().sum().backward()
    expected = 2 * np.einsum("vw,vnc->wnc", dense, product.detach())
    torch.testing.assert_close(points.grad, torch.as_tensor(expected).float())
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(matrix(points.detach()), product.detach())
