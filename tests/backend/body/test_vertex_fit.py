"""The vertex fit recovers the parameters of known vertices."""

import numpy as np
import pytest
import torch

from backend.body.arrays import BodyArrays
from backend.body.joint_sets import MANO16_PARENTS
from backend.body.loader import load_body
from backend.body.model import BodyModel
from backend.body.vertex_fit import fit_vertices
from backend.geometry.rotations import matrix_from_axis_angle


def random_bodies(body, count, seed, spread=0.35):
    """(rotations, betas, trans): up to 1.2 rad per joint, any global orientation, trans of some metres."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    poses = normal(count, len(body.parents), 3) * spread
    size = poses.norm(dim=-1, keepdim=True)
    rotations = matrix_from_axis_angle(poses * (size.clamp(max=1.2) / size))
    quaternion = normal(count, 4)
    w, xyz = quaternion[:, :1], quaternion[:, 1:]
    axis = xyz / xyz.norm(dim=1, keepdim=True)
    rotations[:, 0] = matrix_from_axis_angle(2 * torch.atan2(xyz.norm(dim=1, keepdim=True), w) * axis)
    return rotations, normal(count, body.num_betas), 2 * normal(count, 3)


@pytest.mark.parametrize("count", [12, pytest.param(100, marks=pytest.mark.slow)])
def test_exact_bodies_are_recovered_to_a_hundredth_of_a_millimetre(body, count):
    rotations, betas, trans = random_bodies(body, count, 1)
    vertices = body(None, betas, trans, rotations=rotations).vertices
    fit = fit_vertices(body, vertices)
    assert fit.error.max() < 1e-5
    again = body(fit.poses, fit.betas, fit.trans).vertices
    assert (again - vertices).norm(dim=-1).mean(-1).max() < 1e-5
    torch.testing.assert_close(fit.betas, betas, atol=2e-3, rtol=0)
    torch.testing.assert_close(fit.rotations, rotations, atol=2e-3, rtol=0)


def test_noise_is_not_fitted(body):
    rotations, betas, trans = random_bodies(body, 8, 2)
    vertices = body(None, betas, trans, rotations=rotations).vertices
    noise = 0.005 * torch.randn(vertices.shape, generator=torch.Generator().manual_seed(3))
    fit = fit_vertices(body, vertices + noise)
    floor = noise.norm(dim=-1).mean()
    assert abs(fit.error.mean() - floor) < 0.05 * floor
    # near the body without noise
    assert (body(fit.poses, fit.betas, fit.trans).vertices - vertices).norm(dim=-1).mean() < 0.2 * floor


def test_any_vertices_give_a_valid_body(body):
    nonsense = torch.randn(3, 6890, 3, generator=torch.Generator().manual_seed(4))
    nonsense[1] *= 1e4
    nonsense[2] = float("nan")
    fit = fit_vertices(body, nonsense)
    for value in (fit.rotations, fit.poses, fit.betas, fit.trans, fit.error):
        assert torch.isfinite(value).all()
    product = fit.rotations @ fit.rotations.mT
    torch.testing.assert_close(product, torch.eye(3).expand_as(product), atol=1e-4, rtol=0)
    assert (torch.linalg.det(fit.rotations) > 0.99).all()
    assert fit.betas.abs().max() <= 10


def test_a_batch_equals_single_bodies(body):
    rotations, betas, trans = random_bodies(body, 3, 5)
    vertices = body(None, betas, trans, rotations=rotations).vertices
    together = fit_vertices(body, vertices)
    for k in range(3):
        alone = fit_vertices(body, vertices[k : k + 1])
        torch.testing.assert_close(alone.rotations[0], together.rotations[k], atol=2e-3, rtol=0)
    assert len(fit_vertices(body, vertices[:0]).error) == 0


@pytest.mark.parametrize("name", ["open_hand", "open_hand_left"])
def test_hands_are_recovered(name):
    """Also their betas, which move vertices by fractions of a millimetre only."""
    hand = load_body(name)
    rotations, betas, trans = random_bodies(hand, 40, 7)
    fit = fit_vertices(hand, hand(None, betas, trans, rotations=rotations).vertices)
    assert fit.error.max() < 1e-5
    torch.testing.assert_close(fit.betas, betas, atol=0.05, rtol=0)
    torch.testing.assert_close(fit.rotations, rotations, atol=5e-3, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_joint_without_vertices_does_not_rotate(dtype):
    """A body of random numbers in MANO's format."""
    rng = np.random.RandomState(0)
    joints, count = 16, 778
    owner = np.arange(count) % (joints - 1)
    weights = 0.8 * np.eye(joints)[owner] + 0.2 * np.eye(joints)[np.maximum(np.array(MANO16_PARENTS)[owner], 0)]
    regressor = np.eye(joints)[owner].T / np.eye(joints)[owner].sum(0).clip(1)[:, None]
    regressor[-1, :15] = 1 / 15
    arrays = BodyArrays(
        "hand", "none", tuple(map(str, range(joints))), np.array(MANO16_PARENTS), 0.1 * rng.standard_normal((count, 3)),
        np.arange(count * 3).reshape(-1, 3) % count, 0.005 * rng.standard_normal((count, 3, 10)),
        0.001 * rng.standard_normal((count, 3, 135)), regressor, weights,
    )  # fmt: skip
    hand = BodyModel(arrays, dtype)
    rotations, betas, trans = (x.to(dtype) for x in random_bodies(hand, 6, 6))
    rotations[:, -1] = torch.eye(3, dtype=dtype)
    fit = fit_vertices(hand, hand(None, betas, trans, rotations=rotations).vertices)
    assert fit.error.max() < 1e-4
    torch.testing.assert_close(fit.rotations[:, -1], rotations[:, -1], atol=1e-3, rtol=0)
