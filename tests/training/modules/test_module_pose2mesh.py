"""Pose2Mesh's module on the open hand: it overfits one batch, and follows its recipe."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import default_collate

from backend.body.loader import load_body
from backend.errors import BadInput
from backend.models.pose2mesh.adapter import body_graph
from backend.models.pose2mesh.network import Pose2Mesh, Pose2MeshConfig, PoseNet
from training.datasets import tiny
from training.datasets.registry import build_dataset
from training.modules.pose2mesh import Pose2MeshModule
from training.preprocessing.pose2mesh_style import Pose2MeshPreparer

SETTINGS = {"target": "mano", "learning_rate": 1e-3, "step": 30, "gamma": 0.1}


@pytest.fixture(scope="module")
def hand():
    return load_body("open_hand")


@pytest.fixture(scope="module")
def batch(hand, tmp_path_factory):
    """Four hands, prepared as for the run `pose2mesh-freihand-full`."""
    records = build_dataset(tiny.write("freihand_json", tmp_path_factory.mktemp("freihand")))
    prepare = Pose2MeshPreparer("mano", "mano", hand)
    return default_collate([prepare(records[k], None) for k in range(4)])


def make_module(hand, stage: str, **more) -> Pose2MeshModule:
    torch.manual_seed(0)
    model = Pose2Mesh(Pose2MeshConfig("mano"), body_graph(hand, "hand"))
    model.pose_lifter = PoseNet(21, width=128, dropout=0)  # the real one has 67 million parameters
    return Pose2MeshModule(model, hand, stage, **(SETTINGS | more))


def train_steps(module: Pose2MeshModule, batch: dict, steps: int) -> list[float]:
    """Losses of the steps.  Adam: RMSprop at the recipe's learning rate needs many more."""
    optimizer = torch.optim.Adam([p for p in module.model.parameters() if p.requires_grad], 1e-3)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = module.training_step(batch, 0)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_posenet_overfits_one_batch(hand, batch):
    module = make_module(hand, "posenet", protocols=["freihand"])
    losses = train_steps(module, batch, 150)
    assert losses[-1] < 0.1 * losses[0]
    assert not any(p.requires_grad for p in module.model.pose2mesh.parameters())
    module.eval()
    module.validation_step(batch, 0)
    assert module.evaluator(0).compute()["PA-MPJPE"] > 0


@pytest.mark.parametrize("stage", ["posenet", "full"])
def test_metrics_without_ground_truth_are_nan(hand, batch, stage):
    module = make_module(hand, stage, protocols=["freihand"]).eval()
    unlabelled = batch | {name: torch.zeros_like(batch[name]) for name in ("pose", "lifted", "joints_given")}
    with torch.no_grad():
        module.validation_step(unlabelled, 0)
    assert all(value.isnan() for value in module.evaluator(0).compute().values())
    assert len(module.submission.rows) == (0 if stage == "posenet" else len(set(batch["index"].tolist())))


@pytest.mark.slow
def test_full_network_overfits_one_batch(hand, batch):
    module = make_module(hand, "full", edge_from_epoch=2)
    mesh, _ = module.targets(batch)

    def error() -> float:
        with torch.no_grad():  # in training mode: batch statistics, as it was trained
            return float((module.model(batch["pose2d"])["vertices"] - mesh).norm(dim=-1).mean())

    before = error()
    losses = train_steps(module, batch, 30)
    assert losses[-1] < 0.4 * losses[0]
    assert error() < min(0.3 * before, 0.05)  # m, of hands that are 0.2 m long


def test_the_edge_loss_starts_at_its_epoch(hand, batch):
    logged: list[dict] = []
    for first in (1, 2):
        module = make_module(hand, "full", edge_from_epoch=first)
        module.log_dict = logged.append
        module.training_step(batch, 0)
    assert "train/edge" in logged[0] and "train/edge" not in logged[1]


def test_mesh_losses_have_no_gradient_to_the_lifter(hand, batch):
    """The lifter's gradient is that of its own loss, with the weight 1e-3."""
    full, alone = make_module(hand, "full"), make_module(hand, "posenet")
    full.training_step(batch, 0).backward()
    alone.training_step(batch, 0).backward()
    for (name, p), q in zip(
        full.model.pose_lifter.named_parameters(), alone.model.pose_lifter.parameters(), strict=True
    ):
        if q.grad is not None:
            torch.testing.assert_close(p.grad, 1e-3 * q.grad, atol=1e-6, rtol=1e-4, msg=name)


def test_wrong_settings_are_refused(hand):
    with pytest.raises(BadInput, match="free"):
        make_module(hand, "full", protocols=["free"])
    with pytest.raises(BadInput, match=r"Human3\.6M"):
        make_module(hand, "full", target="human36")
