"""Random weights of networks, where the originals do not use PyTorch's initialisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from backend.body.loader import load_body
from backend.models.backbones.hrnet import HRNet
from backend.models.fastmetro.network import Transformer
from backend.models.smpler.network import RefinementBlock, SMPLer, SMPLerConfig


def test_pose_hrnet():
    """Convolutions are N(0, 0.001); published files lack those of the coarse outputs."""
    torch.manual_seed(0)
    for name, part in HRNet(32, "multi").named_modules():
        if isinstance(part, nn.Conv2d):
            assert part.weight.std().item() == pytest.approx(1e-3, rel=0.1), name
        if isinstance(part, nn.BatchNorm2d):
            assert (part.weight == 1).all() and (part.bias == 0).all()


def test_fastmetro_transformer():
    """Matrices are Xavier-uniform, the three projections as one of 3D x D; biases 0 or PyTorch's."""
    torch.manual_seed(0)
    transformer = Transformer(64, 128, 1, 0.1)
    for name, parameter in transformer.named_parameters():
        if parameter.dim() > 1:
            bound = (6 / sum(parameter.shape)) ** 0.5
            assert 0.9 * bound < parameter.abs().max() <= bound, name
    dropouts = [m.p for m in transformer.modules() if isinstance(m, nn.Dropout)]
    assert dropouts and set(dropouts) == {0.1}
    layer = transformer.decoder.layers[0]
    assert layer.self_attn.dropout == layer.multihead_attn.dropout == 0.1


def test_smpler_block():
    torch.manual_seed(0)
    block = RefinementBlock((32, 64, 128, 256), 0.1)
    np.testing.assert_allclose(block.theta_predictor.bias.detach(), [0.1, 0, 0, 0.1, 0, 0])
    assert block.theta_predictor.weight.std().item() == pytest.approx(1e-3, rel=0.1)
    assert block.trans_block.early_embedding.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert block.trans_block.feat_position_embedding.std().item() == pytest.approx(0.1, rel=0.1)
    for unit in block.trans_block.trans_units:
        assert not unit.local_unit.relative_position_encoding_table[0].any()


def test_smpler_regressor_has_dropout_one_half():
    body = load_body("open")
    model = SMPLer(SMPLerConfig(32, 0), body, body.regressors["h36m17"])
    assert model.SMPL_predictor.dropout.p == 0.5
    bound = 0.01 * (6 / (1024 + 144)) ** 0.5
    assert model.SMPL_predictor.decpose.weight.abs().max() <= bound
    torch.manual_seed(0)
    feature = torch.randn(2, 256)
    model.SMPL_predictor.train()
    first, second = model.SMPL_predictor(feature), model.SMPL_predictor(feature)
    assert not torch.equal(first[0], second[0])
