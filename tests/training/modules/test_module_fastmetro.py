"""FastMETRO's module: overfitting one batch, logged metrics, upstream quirks, mesh levels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from module_fakes import TinyBackbone, batch, overfit

from backend.body.loader import load_body
from backend.body.mesh_levels import body_levels
from backend.errors import BadInput
from backend.models.fastmetro.network import FastMETRO, FastMETROConfig, FastMETROMesh
from training.losses.fastmetro import HAND_WEIGHTS, FastMETROWeights
from training.modules import fastmetro
from training.modules.fastmetro import FastMETROModule

# steps on one batch, and the share of the loss that may remain after them
OVERFIT = {"body": (12, 0.6), "hand": (12, 0.45)}


@pytest.fixture(autouse=True)
def _no_trainer(monkeypatch):
    """Schedules need a trainer's epochs; there is none here."""
    monkeypatch.setattr(fastmetro, "step_decay_schedule", lambda *_: None)


def make(part="body", regressor=False, **more):
    torch.manual_seed(0)
    body = load_body("open" if part == "body" else "open_hand")
    counts = (1723, 431) if part == "body" else (195,)
    levels = body_levels(body.v_template.double().numpy(), body.faces.numpy(), counts)
    config = FastMETROConfig(1, "resnet50", part, regressor, dropout=0.0)
    model = FastMETRO(config, FastMETROMesh(levels.adjacency[-1], levels.up[0]))
    model.backbone = TinyBackbone()
    settings = {
        "weights": FastMETROWeights() if part == "body" else HAND_WEIGHTS,
        "learning_rate": 1e-4,
        "weight_decay": 1e-4,
    }
    return FastMETROModule(model, body, step=100, gamma=0.1, **{**settings, **more})


@pytest.mark.parametrize("part", [pytest.param("body", marks=pytest.mark.slow), "hand"])
def test_one_batch_is_overfit(part):
    module, data = make(part), batch(part)
    steps, remaining = OVERFIT[part]
    losses = overfit(module, data, steps, lr=3e-4, clip=0.3)
    assert losses[-1] < remaining * losses[0]
    idle = {name for name, p in module.model.named_parameters() if p.grad is None}
    assert not idle


def test_mesh_weight_trains_the_regressor_alone():
    """mesh_weight 1e-8, as the original: the mesh's gradients are negligible against the parameters'."""
    module, data = make(regressor=True, mesh_weight=1e-8), batch()
    module.log_dict = lambda *_, **__: None
    module.train()
    module.training_step(data, 0).backward()
    norms = {"mesh": 0.0, "parameters": 0.0}
    for name, parameter in module.model.named_parameters():
        kind = "parameters" if name.startswith("smpl_parameter_regressor.") else "mesh"
        norms[kind] += float(parameter.grad.square().sum()) if parameter.grad is not None else 0.0
    assert norms["mesh"] < 1e-6 * norms["parameters"]
    full = make(regressor=True, mesh_weight=1.0)
    full.log_dict = lambda *_, **__: None
    full.train()
    full.training_step(data, 0).backward()
    assert full.model.xyz_regressor.weight.grad.norm() > 1e6 * module.model.xyz_regressor.weight.grad.norm()


def test_logged_parts_sum_to_the_loss_and_metrics_are_logged(monkeypatch):
    module, data = make(regressor=True, mesh_weight=0.5, protocols=["3dpw-fastmetro"]), batch()
    logged = {}
    monkeypatch.setattr(module, "log_dict", lambda values, **_: logged.update(values))
    loss = module.train().training_step(data, 0)
    parts = [value for name, value in logged.items() if name != "train/loss"]
    torch.testing.assert_close(sum(parts), loss.detach())
    assert {"train/normal", "train/smpl_parameters", "train/edge_self"} < set(logged)
    module.eval()
    with torch.no_grad():
        module.validation_step(data, 0)
        logged.clear()
        module.on_validation_epoch_end()
    assert set(logged) == {f"3dpw-fastmetro/{m}" for m in ("MPJPE", "PA-MPJPE", "MPVPE")}
    assert all(10 < value < 3000 for value in logged.values())


def test_a_perfect_network_has_no_error():
    """With a network that predicts the labels' mesh, metrics and mesh losses are zero."""
    module, data = make(protocols=["3dpw-fastmetro"]), batch()
    targets = module.targets(data)
    meshes = targets.meshes

    class Perfect(torch.nn.Module):
        def forward(self, images):
            shift = torch.tensor([0.1, 0.2, 5.0])
            return {
                "pred_cam": torch.tensor([[1.0, 0, 0]]).expand(2, -1),
                "pred_3d_joints": targets.joints3d[..., :3] + 7,
                "pred_3d_vertices_coarse": meshes[431] + shift,
                "pred_3d_vertices_intermediate": meshes[1723] + shift,
                "pred_3d_vertices_fine": meshes[6890] + shift,
            }

    parts = {}
    config = module.model.config
    module.model = Perfect()
    module.model.config = config
    module.log_dict = lambda values, **_: parts.update(values)
    module.training_step(data, 0)
    assert parts["train/vertices"] < 1e-3 and parts["train/edge"] < 1e-3
    # annotated joints are near those of the mesh, not equal: head and neck are defined differently
    assert parts["train/joints3d"] < 30
    module.validation_step(data, 0)
    metrics = module.evaluator(0).compute()
    assert metrics["MPVPE"] < 1e-3 and metrics["MPJPE"] < 60


def test_hands_write_freihands_submission(tmp_path, monkeypatch, capsys):
    module, data = make("hand", protocols=["freihand"]), batch("hand")
    module.submission.images = 2
    module.eval()
    with torch.no_grad():
        module.validation_step(data, 0)
    assert sorted(module.submission.rows) == [0, 1]
    joints, vertices = module.submission.rows[1]
    assert joints.shape == (21, 3) and vertices.shape == (778, 3) and not joints[0].any()
    monkeypatch.setattr(type(module), "global_rank", 0, raising=False)
    monkeypatch.setattr(type(module), "trainer", type("T", (), {"default_root_dir": tmp_path}), raising=False)
    monkeypatch.setattr(module, "log_dict", lambda values, **_: None)
    module.on_validation_epoch_end()
    assert (tmp_path / "submission" / "pred.zip").is_file() and "pred.zip" in capsys.readouterr().out
    assert not module.submission.rows


def test_only_upstream_compares_normals_of_triangles_that_are_not_faces():
    quirks, without_quirks = make(), make(upstream_quirks=False)
    faces = {tuple(sorted(face)) for face in without_quirks.loss.surface.faces.tolist()}
    triangles = {tuple(face) for face in quirks.loss.surface.faces.tolist()}
    assert len(faces) == 3442 and faces < triangles
    assert torch.equal(quirks.loss.surface.edges, without_quirks.loss.surface.edges)


def test_mesh_levels_are_read_from_metros_file(tmp_path):
    """The file's adjacency and up- and downsampling replace the body's own."""
    module = make()
    sizes = (6890, 1723, 431)
    steps = list(itertools.pairwise(sizes))
    parts = {
        "A": [sp.coo_matrix(sp.diags([1.0] * 5, [-2, -1, 0, 1, 2], shape=(n, n))) for n in sizes],
        "U": [sp.csc_matrix((np.ones(a), (range(a), np.arange(a) % b)), shape=(a, b)) for a, b in steps],
        "D": [sp.csc_matrix((np.ones(b), (range(b), range(b))), shape=(b, a)) for a, b in steps],
    }
    rows = {}
    for key, matrices in parts.items():
        rows[key] = np.empty(len(matrices), object)
        rows[key][:] = matrices
    np.savez(tmp_path / "mesh_downsampling.npz", **rows)
    file = str(tmp_path / "mesh_downsampling.npz")
    other = make(mesh_sampler=file)
    assert other.model.allowed[14:, 14:].sum() == 431 * 5 - 6
    assert not torch.equal(other.model.allowed, module.model.allowed)
    meshes = other.targets(batch()).meshes
    torch.testing.assert_close(meshes[1723], meshes[6890][:, :1723])
    assert len(other.loss.surface.faces) == 1723 - 2  # every three in a row
    with pytest.raises(BadInput, match="the network's are"):
        make("hand", mesh_sampler=file)


def test_learning_rates_and_parameter_groups():
    module = make()
    optimizer = module.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, torch.optim.AdamW) and len(optimizer.param_groups) == 1
    assert optimizer.param_groups[0]["lr"] == 1e-4 and optimizer.param_groups[0]["weight_decay"] == 1e-4
    count = sum(p.numel() for p in optimizer.param_groups[0]["params"])
    assert count == sum(p.numel() for p in module.model.parameters())


def test_tokens_can_have_their_own_learning_rate():
    module = make(token_rate=0.02)
    usual, tokens = module.configure_optimizers()["optimizer"].param_groups
    assert usual["lr"] == 1e-4 and tokens["lr"] == 0.02
    embedded = {id(module.model.joint_token_embed.weight), id(module.model.vertex_token_embed.weight)}
    assert {id(p) for p in tokens["params"]} == embedded
    everything = {id(p) for p in module.model.parameters()}
    assert {id(p) for p in usual["params"]} == everything - embedded
