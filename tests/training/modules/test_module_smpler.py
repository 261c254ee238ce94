"""SMPLer's module: overfitting one batch, supervision of the last stage alone, the initial estimate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from module_fakes import TinyPyramid, batch, overfit

from backend.body.loader import load_body
from backend.errors import BadInput
from backend.models.smpler.network import SMPLer, SMPLerConfig
from backend.models.spec import network
from training.engine.export import constants_of
from training.losses.smpler import SMPLerWeights
from training.modules.smpler import SMPLerModule

# blocks -> steps on one batch, and the share of the loss that may remain after them
OVERFIT = {0: (30, 0.15), 3: (8, 0.6)}


def make(blocks=3, **more):
    torch.manual_seed(0)
    body = load_body("open")
    model = SMPLer(SMPLerConfig(32, blocks, dropout=0.0), body, body.regressors["h36m17"])
    model.backbone = TinyPyramid()
    model.SMPL_predictor.dropout.p = 0.0
    return SMPLerModule(model, body, SMPLerWeights(), 2e-4, **more)


@pytest.fixture(scope="module")
def data():
    return batch(size=112)


@pytest.mark.parametrize("blocks", [0, 3])
def test_one_batch_is_overfit(data, blocks):
    module = make(blocks)
    steps, remaining = OVERFIT[blocks]
    losses = overfit(module, data, steps, lr=3e-4)
    assert losses[-1] < remaining * losses[0]


def test_only_the_last_stage_is_supervised(data):
    module = make()
    given = {}
    module.log_dict = lambda values, **_: given.update(values)
    loss = module.train().training_step(data, 0)
    stages = module.model(data["image"], every_stage=True)
    again = module.loss(stages[-1], module.targets(data))["loss"]
    torch.testing.assert_close(loss, again)
    assert set(given) == {f"train/{n}" for n in ("loss", "vertices", "joints2d", "joints3d", "rotations")}


def test_metrics_are_logged_by_protocol(data):
    module = make(0, protocols=["human36m-smpler"])
    logged = {}
    module.log_dict = lambda values, **_: logged.update(values)
    module.eval()
    with torch.no_grad():
        module.validation_step(data, 0)
    module.on_validation_epoch_end()
    assert set(logged) == {f"human36m-smpler/{m}" for m in ("MPJPE", "PA-MPJPE", "MPVPE")}


def test_the_initial_estimate_is_upright(data):
    """Untrained, the head is above the feet in the image (y down)."""
    module = make(0)
    stage = module.model.eval()(data["image"])[-1]
    joints = stage["joints"][0]
    assert joints[13, 1] < joints[0, 1] - 1  # head above ankle by more than a metre
    optimizer = module.configure_optimizers()
    assert isinstance(optimizer, torch.optim.Adam) and optimizer.param_groups[0]["weight_decay"] == 0


def test_mean_parameters(tmp_path):
    pose, shape = np.random.default_rng(0).normal(size=144).astype(np.float32), np.ones(10, np.float32)
    np.savez(tmp_path / "mean.npz", pose=pose, shape=shape, cam=np.ones(3))
    start = make(0, mean_parameters=str(tmp_path / "mean.npz")).model.SMPL_predictor
    np.testing.assert_array_equal(start.init_pose[0], pose)
    np.testing.assert_array_equal(start.init_shape[0], shape)
    assert start.init_cam.tolist() == [[1, 0, 0]]  # the file's camera is not used
    with pytest.raises(BadInput, match="no file"):
        make(0, mean_parameters=str(tmp_path / "none.npz"))
    np.savez(tmp_path / "bad.npz", pose=pose[:72], shape=shape)
    with pytest.raises(BadInput, match=r"\[72, 10\]"):
        make(0, mean_parameters=str(tmp_path / "bad.npz"))
    (tmp_path / "no.npz").write_text("x")
    with pytest.raises(BadInput, match="cannot be read"):
        make(0, mean_parameters=str(tmp_path / "no.npz"))


def test_the_3dpw_stage_uses_its_own_regressor(data):
    """Network, labels and exported weights use the run's regressor; the open body's only one replaces it."""
    body = load_body("open")
    body.name = "smpl"
    usual = body.regressors["h36m17"]
    body.regressors["h36m17_3dpw"] = usual.roll(1, 1)
    model = SMPLer(SMPLerConfig(32, 0, dropout=0.0), body, usual.float().clone())
    module = SMPLerModule(model, body, SMPLerWeights(), 2e-4, joint_regressor="h36m17_3dpw")
    other = usual.roll(1, 1).float()
    assert torch.equal(model.joint_regressor, other) and torch.equal(module.targets.regressor, other)
    assert torch.equal(constants_of(model, network("smpler-w32"), body)["joint_regressor"], other)

    open_module = make(0, joint_regressor="h36m17_3dpw")
    assert torch.equal(open_module.targets.regressor, usual.float())
    del body.regressors["h36m17_3dpw"]
    with pytest.raises(BadInput, match=r"no regressor h36m17_3dpw"):
        SMPLerModule(model, body, SMPLerWeights(), 2e-4, joint_regressor="h36m17_3dpw")
