"""Pose2Mesh's module on hands of the open hand: it overfits one batch, and follows its recipe."""

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
    """Four hands as the run `pose2mesh-freihand-full` would hand them over."""
    records = build_dataset(tiny.write("freihand_json", tmp_path_factory.mktemp("freihand")))
    prepare = Pose2MeshPreparer("mano", "mano", hand)
    return default_collate([prepare(records[k], None) for k in range(4)])


def module(hand, stage: str, **more) -> Pose2MeshModule:
    torch.manual_seed(0)
    model = Pose2Mesh(Pose2MeshConfig("mano"), body_graph(hand, "hand"))
    model.pose_lifter = PoseNet(21, width=128, dropout=0)  # the real one is 67 million wide
    return Pose2MeshModule(model, hand, stage, **(SETTINGS | more))


def learn(found: Pose2MeshModule, batch: dict, steps: int) -> list[float]:
    """Losses of the steps.  Adam: RMSprop at the recipe's rate needs many more before it settles."""
    optimizer = torch.optim.Adam([p for p in found.model.parameters() if p.requires_grad], 1e-3)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = found.training_step(batch, 0)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_posenet_overfits_one_batch(hand, batch):
    found = module(hand, "posenet", protocols=["freihand"])
    losses = learn(found, batch, 150)
    assert losses[-1] < 0.1 * losses[0]
    assert not any(p.requires_grad for p in found.model.pose2mesh.parameters())
    found.eval()
    found.validation_step(batch, 0)
    assert found.evaluator(0).compute()["PA-MPJPE"] > 0


@pytest.mark.parametrize("stage", ["posenet", "full"])
def test_without_truth_there_is_no_number(hand, batch, stage):
    found = module(hand, stage, protocols=["freihand"]).eval()
    unlabelled = batch | {name: torch.zeros_like(batch[name]) for name in ("pose", "lifted", "joints_given")}
    with torch.no_grad():
        found.validation_step(unlabelled, 0)
    assert all(value.isnan() for value in found.evaluator(0).compute().values())
    assert len(found.submission.rows) == (0 if stage == "posenet" else len(set(batch["index"].tolist())))


@pytest.mark.slow
def test_whole_network_overfits_one_batch(hand, batch):
    found = module(hand, "full", edge_from_epoch=2)
    mesh, _ = found.targets(batch)

    def error() -> float:
        with torch.no_grad():  # in training mode: batch statistics, as it was trained
            return float((found.model(batch["pose2d"])["vertices"] - mesh).norm(dim=-1).mean())

    before = error()
    losses = learn(found, batch, 30)
    assert losses[-1] < 0.4 * losses[0]
    assert error() < min(0.3 * before, 0.05)  # m, of hands that are 0.2 m long


def test_edges_count_from_their_epoch(hand, batch):
    seen: list[dict] = []
    for first in (1, 2):
        found = module(hand, "full", edge_from_epoch=first)
        found.log_dict = seen.append
        found.training_step(batch, 0)
    assert "train/edge" in seen[0] and "train/edge" not in seen[1]


def test_meshes_do_not_move_the_lifter(hand, batch):
    """The lifter's gradient is that of its own loss, a thousandth of the millimetres."""
    whole, alone = module(hand, "full"), module(hand, "posenet")
    whole.training_step(batch, 0).backward()
    alone.training_step(batch, 0).backward()
    for (name, p), q in zip(
        whole.model.pose_lifter.named_parameters(), alone.model.pose_lifter.parameters(), strict=True
    ):
        if q.grad is not None:
            torch.testing.assert_close(p.grad, 1e-3 * q.grad, atol=1e-6, rtol=1e-4, msg=name)


def test_wrong_words(hand):
    with pytest.raises(BadInput, match="free"):
        module(hand, "full", protocols=["free"])
    with pytest.raises(BadInput, match=r"Human3\.6M"):
        module(hand, "full", target="human36")
