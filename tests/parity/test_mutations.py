"""Deliberate mistakes in the networks, each of which the goldens must detect."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_mesh import build_mesh
from networks import disagreements, goldens, load_golden, meta
from torch import nn

from backend.body.mesh_levels import SparseMatrix
from backend.models.pose2mesh.mesh_graph import laplacian, mesh_graph
from backend.models.pose2mesh.network import LEVELS


def _norm_eps(module):
    for part in module.modules():
        if isinstance(part, nn.LayerNorm):
            part.eps = 1e-6


def _batch_norm_eps(module):
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.eps = 1e-3


def _positions(number):
    def mutate(module):
        getattr(module, f"pos_enc_{number}").zero_()

    return mutate


def _swapped_positions(module):
    grid = module.pos_enc_1.unflatten(0, (7, 7))
    module.pos_enc_1 = grid.transpose(0, 1).flatten(0, 1)


def _no_mask(module):
    module.allowed.fill_(True)


def _no_final_norm(module):
    module.transformer_1.decoder.norm = nn.Identity()


def _no_upsampling_bias(module):
    module.coarse2intermediate_upsample.bias.data.zero_()


def _nearest_rotation(module):
    regressor = module.smpl_parameter_regressor
    forward = regressor.forward

    def wrong(vertices):
        matrices = regressor.regressor(vertices.flatten(1))[:, :216].reshape(-1, 24, 3, 3)
        u, _, vh = torch.linalg.svd(matrices)
        u[..., 2] *= torch.linalg.det(u @ vh)[..., None]
        return u @ vh, forward(vertices)[1]

    regressor.forward = wrong


def _no_feature_positions(module):
    for block in module.transformer:
        block.trans_block.feat_position_embedding.data.zero_()


def _no_relative_scores(module):
    for block in module.transformer:
        for unit in block.trans_block.trans_units:
            unit.local_unit.relative_position_encoding_table[0].data.zero_()


def _local_only_to_neighbours(module):
    for block in module.transformer:
        for unit in block.trans_block.trans_units:
            forward = unit.local_unit.forward
            unit.local_unit.forward = lambda x, w, o, f=forward: f(x, w, o.flip(-1))


def _left_rotation(module):
    for block in module.transformer:
        forward = block.forward

        def transposed(query, maps, joints, f=forward):
            rotation, *rest = f(query, maps, joints)
            return rotation.mT, *rest

        block.forward = transposed


def _camera_of_the_file(module):
    module.SMPL_predictor.init_cam[:] = torch.tensor([0.9, 0.0, 0.0])


def _rescaled_joint_graph(module):
    graph = module.pose2mesh.joint_laplacian
    dense = graph.tensor().to_dense()
    largest = torch.linalg.eigvalsh(dense)[-1]
    module.pose2mesh.joint_laplacian = SparseMatrix((dense / (2 * largest) - torch.eye(len(dense))).numpy())


def _textbook_scaling(module):
    mesh = module.pose2mesh
    for level in range(mesh.levels):
        for kind in ("all", "real"):
            graph = getattr(mesh, f"{kind}_{level}").tensor().to_dense()
            identity = torch.eye(len(graph))
            setattr(mesh, f"{kind}_{level}", SparseMatrix((4 * (graph + identity) - identity).numpy()))


def _no_residual(module):
    module.pose_lifter.linear_stages[0].w2.weight.data.zero_()


FASTMETRO = [
    _norm_eps, _batch_norm_eps, _positions(1), _positions(2), _swapped_positions, _no_mask, _no_final_norm,
    _no_upsampling_bias,
]  # fmt: skip
SMPLER = [
    _batch_norm_eps, _no_feature_positions, _no_relative_scores, _local_only_to_neighbours, _left_rotation,
    _camera_of_the_file,
]  # fmt: skip
POSE2MESH = [_batch_norm_eps, _rescaled_joint_graph, _textbook_scaling, _no_residual]
CASES = [
    *(("body_s_r50", mutate) for mutate in FASTMETRO),
    ("body_l_h64_smpl", _nearest_rotation),
    *(("smpler_w32", mutate) for mutate in SMPLER),
    *(("mano", mutate) for mutate in POSE2MESH),
]


@pytest.mark.parametrize(
    ("variant", "mutate"),
    [
        pytest.param(
            variant,
            mutate,
            id=f"{variant}-{mutate.__qualname__.split('.')[0]}",
            marks=[pytest.mark.slow] if "h64" in variant else [],
        )
        for variant, mutate in CASES
    ],
)
def test_a_mistake_is_detected(variant, mutate, request, imported):
    golden = next(path for path in goldens(request.config) if meta(path).variant == variant)
    loaded = imported(golden)
    with torch.inference_mode():
        mutate(loaded.module)
    problems, _ = disagreements(golden, loaded)
    # in the outputs, not only in inner features
    assert [p for p in problems if not p.startswith(("mid.", "full/", "pos_enc"))]


@pytest.fixture
def stable_sort(monkeypatch):
    """Replaces the sort of the vertices' degrees by a stable one, which orders equal degrees differently."""
    monkeypatch.setattr(
        "backend.models.pose2mesh.mesh_graph.legacy_argsort", lambda values: np.argsort(values, kind="stable")
    )


def test_the_wrong_sort_gives_the_wrong_graph(request, stable_sort):
    golden = next(path for path in goldens(request.config) if meta(path).variant == "mano")
    orders = mesh_graph(build_mesh("hand")[1], LEVELS["hand"]).orders
    with np.load(golden.with_name("golden_graphs_mano.npz"), allow_pickle=False) as stored:
        assert not all(np.array_equal(order, stored[f"perm_{k}"]) for k, order in enumerate(orders))


@pytest.mark.slow
def test_the_wrong_sort_gives_the_wrong_network(request, home, stable_sort):
    golden = next(path for path in goldens(request.config) if meta(path).variant == "mano")
    from backend.errors import BadInput

    try:
        loaded = load_golden(golden, home)
    except BadInput as error:
        assert error.code == "checkpoint_mismatch"
        return
    assert disagreements(golden, loaded)[0]


def test_the_joint_graph_is_not_the_identity():
    """Otherwise `_rescaled_joint_graph` would change nothing."""
    from backend.models.pose2mesh.joint_sets import POSE_SETS, joint_graph

    for pose_set in POSE_SETS.values():
        matrix = laplacian(joint_graph(pose_set)).toarray()
        assert abs(matrix - matrix.T).max() < 1e-12
        assert abs(matrix).sum(0).max() > 1.2
