"""Pose2Mesh's losses against the original's numbers: values, and the gradients of a training step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_mesh import build_mesh, fake_regressor
from fill import fill_state_dict

from backend.models.pose2mesh.mesh_graph import mesh_graph
from backend.models.pose2mesh.network import LEVELS, MeshNet, Pose2MeshConfig
from training.losses import terms
from training.losses.pose2mesh import Pose2MeshLoss, PoseLiftLoss, masked_l1
from training.losses.surface import Surface

SECOND_IS_MASKED = torch.tensor([[1.0], [0.0]])


def test_terms_equal_the_original(golden):
    g = golden("pose2mesh", "golden_extras")
    vertices, faces = build_mesh("body")
    gt = torch.as_tensor(vertices).expand(2, -1, -1)
    pred = (gt + torch.as_tensor(g["pred_noise"]).float()).requires_grad_()
    surface = Surface(faces)
    values = [
        masked_l1(pred, gt, SECOND_IS_MASKED),
        terms.normal_error(pred, gt, surface.faces),
        terms.edge_error(pred, gt, surface.face_edges),
    ]
    for k, value in enumerate(values):
        np.testing.assert_allclose(value.item(), g["loss_vertex_normal_edge"][k], rtol=2e-5)
        (gradient,) = torch.autograd.grad(value, pred)
        np.testing.assert_allclose(gradient.abs().sum(), g["loss_grad_abs_sum"][k], rtol=1e-5)


@pytest.mark.parametrize("name", ["mano", pytest.param("coco", marks=pytest.mark.slow)])
def test_a_training_step_equals_the_original(golden, keys, name):
    """MeshNet in training mode, four poses, all terms; then one step of RMSprop, lr 1e-3."""
    g = golden("pose2mesh", f"golden_trainstep_{name}")
    config = Pose2MeshConfig(name)
    vertices, faces = build_mesh(config.part)
    net = MeshNet(config, mesh_graph(faces, LEVELS[config.part]))
    arrays = fill_state_dict(keys("pose2mesh", name), int(g["meta.weights_seed"]))
    prefix = "pose2mesh."
    state = {k.removeprefix(prefix): torch.as_tensor(v) for k, v in arrays.items() if k.startswith(prefix)}
    net.load_state_dict(state)
    net.train()
    regressor = torch.as_tensor(fake_regressor(21 if name == "mano" else 17, len(vertices)))
    loss = Pose2MeshLoss(Surface(faces), regressor)
    gt = torch.as_tensor(vertices).expand(4, -1, -1)
    yes = torch.ones(4, 1)

    def step():
        out = net(torch.as_tensor(g["x"]))["vertices"]
        return loss(out, gt, regressor @ (gt * 1000), yes[:, 0], yes)

    optimiser = torch.optim.RMSprop(net.parameters(), lr=1e-3)
    names = ("vertices", "normal", "edge", "joints")
    before = step()
    np.testing.assert_allclose([before[n].item() for n in names], g["parts_before"], rtol=2e-5)
    before["loss"].backward()
    parameters = dict(net.named_parameters())
    ordered = [parameters[n] for n in state if n in parameters]
    gradients = np.array([p.grad.abs().sum().item() for p in ordered])
    # biases before a batch norm have no gradient, apart from rounding
    without_gradient = g["grad_abs_sum"] < 1e-3
    assert (gradients[without_gradient] < 1e-3).all() and 0 < without_gradient.sum() < len(without_gradient) / 2
    np.testing.assert_allclose(gradients[~without_gradient], g["grad_abs_sum"][~without_gradient], rtol=2e-3)
    optimiser.step()
    sums = np.array([p.detach().abs().sum().item() for p in ordered])
    np.testing.assert_allclose(sums[~without_gradient], g["param_abs_sum_after"][~without_gradient], rtol=1e-2)
    with torch.no_grad():
        after = step()
    np.testing.assert_allclose([after[n].item() for n in names], g["parts_after"], rtol=2e-3)


def test_masked_entries_count_only_upstream():
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 5, 3, generator=rng) for _ in range(2))
    valid = torch.tensor([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0]])
    errors = (a - b).abs()[valid.bool()]
    torch.testing.assert_close(masked_l1(a, b, valid), errors.sum() / 30)
    torch.testing.assert_close(masked_l1(a, b, valid, upstream_quirks=False), errors.mean())
    assert masked_l1(a, b, 0 * valid, upstream_quirks=False) == 0
    torch.testing.assert_close(PoseLiftLoss()(a, b, valid)["loss"], errors.sum() / 30)
    torch.testing.assert_close(PoseLiftLoss(False)(a, b, valid)["loss"], errors.mean())


@pytest.fixture
def two_hands():
    """Surface, vertices (2, V, 3) and regressor of the fake hand."""
    vertices, faces = build_mesh("hand")
    regressor = torch.as_tensor(fake_regressor(21, len(vertices)))
    return Surface(faces), torch.as_tensor(vertices).expand(2, -1, -1), regressor


def test_surface_terms_of_invalid_meshes_count_only_upstream(two_hands):
    surface, gt, regressor = two_hands
    pred = gt + 0.02 * torch.randn(gt.shape, generator=torch.Generator().manual_seed(0))
    valid = torch.tensor([1.0, 0.0])

    def of(quirks, rows=slice(None), edges=True):
        loss = Pose2MeshLoss(surface, regressor, upstream_quirks=quirks)
        joints = regressor @ (gt[rows] * 1000)
        return loss(pred[rows], gt[rows], joints, valid[rows], valid[rows, None], with_edges=edges)

    upstream, without_quirks, alone = of(True), of(False), of(True, slice(1))
    for name in ("edge", "normal"):
        assert upstream[name] != alone[name]
    for name in alone:
        torch.testing.assert_close(without_quirks[name], alone[name])
    assert "edge" not in of(True, edges=False)


def test_the_loss_of_lifted_joints(two_hands):
    surface, gt, regressor = two_hands
    lifted, yes = torch.full((2, 21, 3), 7.0), torch.ones(2, 21)
    mesh = (gt, gt, regressor @ (gt * 1000), torch.ones(2), yes)
    out = Pose2MeshLoss(surface, regressor)(*mesh, lifted, torch.zeros_like(lifted), yes)
    torch.testing.assert_close(out["lifted"], torch.tensor(7e-3))
    assert out["vertices"] == 0 and out["edge"] == 0
