"""Goldens of parts: graphs, rotations, cameras, pose normalisation, batch statistics of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from fake_mesh import build_mesh
from fill import fill_state_dict
from networks import keys_of

from backend.geometry.rotations import matrix_from_6d, matrix_from_axis_angle
from backend.models.pose2mesh.joint_sets import POSE_SETS, joint_graph, normalise_pose
from backend.models.pose2mesh.mesh_graph import laplacian, mesh_graph
from backend.models.pose2mesh.network import LEVELS, Pose2Mesh, Pose2MeshConfig
from backend.models.smpler.network import project

HERE = Path(__file__).parent


def read(path):
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


@pytest.fixture
def files_like(request):
    """pattern -> the golden files that match it, at least one."""

    def find(pattern):
        paths = sorted(request.config.getoption("--goldens", default=HERE / "goldens").rglob(pattern))
        if not paths:
            pytest.fail(f"--goldens: no {pattern}")
        return paths

    return find


def test_graphs(files_like):
    for path in files_like("golden_graphs_*.npz"):
        name, golden = path.stem.removeprefix("golden_graphs_"), read(path)
        part = Pose2MeshConfig(name).part
        levels = LEVELS[part]
        graph = mesh_graph(build_mesh(part)[1], levels)
        for k in range(levels + 1):
            np.testing.assert_array_equal(graph.orders[k], golden[f"perm_{k}"])
        for k in range(levels):
            # as sparse matrices: dense ones of a body take 3 GB
            assert (graph.laplacians[k] != sparse(golden, f"L{k}")).nnz == 0
            assert (graph.adjacency[k] != sparse(golden, f"A{k}", f"L{k}")).nnz == 0
        joints = laplacian(joint_graph(POSE_SETS[name])).toarray()
        np.testing.assert_allclose(joints, sparse(golden, f"L{levels}").toarray(), atol=1e-7)


def sparse(golden, name, shape_of=None):
    rows, columns = (golden[f"{name}_{axis}"].astype(int) for axis in ("row", "col"))
    shape = tuple(golden[f"{shape_of or name}_shape"])
    return sp.csr_matrix((golden[f"{name}_val"], (rows, columns)), shape=shape)


def test_rotations_and_camera(files_like):
    (path,) = (p for p in files_like("golden_extras.npz") if "rot6d_in" in np.load(p).files)
    golden = {name: torch.as_tensor(value) for name, value in read(path).items()}
    torch.testing.assert_close(matrix_from_6d(golden["rot6d_in"]), golden["rot6d_out"], atol=2e-6, rtol=0)
    rotations = matrix_from_axis_angle(golden["rodrigues_in"].unflatten(1, (24, 3)))
    torch.testing.assert_close(rotations, golden["rodrigues_out"], atol=5e-6, rtol=0)
    projected = project(golden["proj_points"], golden["proj_cam"])
    torch.testing.assert_close(projected, golden["proj_out"], atol=2e-6, rtol=1e-6)


def test_pose_normalisation(files_like):
    (path,) = (p for p in files_like("golden_extras.npz") if "kp_norm" in np.load(p).files)
    golden = read(path)
    np.testing.assert_allclose(normalise_pose(golden["kp"]), golden["kp_norm"], atol=2e-6)


def test_batch_statistics_of_training_include_fake_nodes(files_like):
    for path in files_like("golden_trainstep_*.npz"):
        golden = read(path)
        name = str(golden["meta.variant"])
        config = Pose2MeshConfig(name)
        net = Pose2Mesh(config, mesh_graph(build_mesh(config.part)[1], LEVELS[config.part]))
        entries = keys_of(path, name)
        arrays = fill_state_dict(entries, int(golden["meta.weights_seed"]))
        net.load_state_dict({key: torch.as_tensor(value) for key, value in arrays.items()})
        with torch.no_grad():
            out = net.train().pose2mesh(torch.as_tensor(golden["x"]))["vertices"].numpy()
        np.testing.assert_allclose(out[:, ::10], golden["out_every10"], atol=1e-4)
        statistics = [
            [value.mean().item(), value.std().item()]
            for norm in net.pose2mesh.bn
            for value in (norm.running_mean, norm.running_var)
        ]
        np.testing.assert_allclose(statistics, golden["running_stats"], atol=2e-5)
