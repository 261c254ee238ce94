"""The body model against smplx, SMPL's reference implementation."""

import numpy as np
import pytest
import torch
from smplx import MANO, SMPL
from smplx.utils import Struct

from backend.body.files import read_body
from backend.body.model import BodyModel
from backend.body.registry import available_bodies
from backend.body.wire import body_message
from backend.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from backend.protocol import decode, encode


@pytest.fixture(scope="module")
def arrays():
    return read_body(available_bodies()[0].path)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize("count", [1, 5])
def test_equal_to_smplx(arrays, dtype, tolerance, count):
    with np.load(available_bodies()[0].path) as data:
        struct = Struct(**{k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in data.items()})
    reference = SMPL("", data_struct=struct, dtype=dtype, batch_size=count)
    generator = torch.Generator().manual_seed(count)
    poses = (torch.randn(count, 24, 3, generator=generator, dtype=torch.float64) * 0.6).to(dtype)
    betas = torch.randn(count, 10, generator=generator, dtype=torch.float64).to(dtype)
    trans = torch.randn(count, 3, generator=generator, dtype=torch.float64).to(dtype)
    # as matrices: smplx adds 1e-8 to every axis-angle component before it converts it
    r = matrix_from_axis_angle(poses)
    theirs = reference(betas=betas, global_orient=r[:, :1], body_pose=r[:, 1:], transl=trans, pose2rot=False)
    ours = BodyModel(arrays, dtype)(poses, betas, trans)
    torch.testing.assert_close(ours.vertices, theirs.vertices, atol=tolerance, rtol=0)
    torch.testing.assert_close(ours.joints, theirs.joints[:, :24], atol=tolerance, rtol=0)


def test_rotations_instead_of_poses(arrays):
    body = BodyModel(arrays)
    poses = torch.randn(2, 24, 3, generator=torch.Generator().manual_seed(0)) * 0.5
    betas = torch.zeros(2, 10)
    by_matrix = body(None, betas, rotations=matrix_from_axis_angle(poses))
    torch.testing.assert_close(by_matrix.vertices, body(poses, betas).vertices)


def test_gradients_are_finite_at_rest(arrays):
    body = BodyModel(arrays)
    poses, betas = torch.zeros(1, 24, 3, requires_grad=True), torch.zeros(1, 10, requires_grad=True)
    body(poses, betas).vertices.square().sum().backward()
    assert torch.isfinite(poses.grad).all() and poses.grad.abs().max() > 0
    assert torch.isfinite(betas.grad).all() and betas.grad.abs().max() > 0


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 1.0, 3.1, np.pi - 1e-7, np.pi])
def test_axis_angle_round_trip(angle):
    axis = torch.nn.functional.normalize(
        torch.randn(50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    )
    matrix = matrix_from_axis_angle(axis * angle)
    again = matrix_from_axis_angle(axis_angle_from_matrix(matrix))
    torch.testing.assert_close(again, matrix, atol=1e-9, rtol=0)
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3, dtype=torch.float64).expand(50, 3, 3))


def test_body_message_has_the_bodys_arrays(arrays):
    body = BodyModel(arrays)
    fields, sent = body_message(body)
    kind, header, received = decode([bytes(frame) for frame in encode("body", "r", sent, **fields)])
    assert kind == "body" and header["name"] == "open_body" and header["license"] == "CC0-1.0"
    assert received["uv"].shape == (3 * 13776, 2)
    betas = torch.randn(1, 10)
    expected = body.rest_joints(betas)[0].numpy()
    given = received["joints_template"] + received["joints_shapedirs"] @ betas[0].numpy()
    np.testing.assert_allclose(given, expected, atol=1e-6)


def test_a_hand_is_equal_to_smplx(tmp_path, mano):
    """MANO's format: 16 joints, 778 vertices; the values are random."""
    rng = np.random.default_rng(1)
    path = tmp_path / "MANO_RIGHT.npz"
    np.savez(path, **mano)
    body = BodyModel(read_body(path), torch.float64)
    assert body.joint_names[0] == "wrist" and body.hand_mean is not None
    reference = MANO("", data_struct=Struct(**mano), use_pca=False, flat_hand_mean=True, dtype=torch.float64)
    poses = torch.tensor(rng.normal(size=(1, 16, 3)) * 0.3)
    betas = torch.tensor(rng.normal(size=(1, 10)))
    theirs = reference(betas=betas, global_orient=poses[:, 0], hand_pose=poses[:, 1:].flatten(1))
    # smplx adds 1e-8 to every axis-angle component
    torch.testing.assert_close(body(poses, betas).vertices, theirs.vertices, atol=1e-7, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-6, 1.0, np.pi - 1e-6, np.pi])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_of_rotations_are_finite(angle, dtype):
    axis = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(2), dtype=dtype))
    vector = (axis * angle).requires_grad_()
    matrix = matrix_from_axis_angle(vector)
    (axis_angle_from_matrix(matrix) * torch.arange(1.0, 4.0)).sum().backward()
    assert torch.isfinite(vector.grad).all() and vector.grad.abs().max() < 1e3


def test_buffers_and_regressors_follow_to_another_dtype(arrays):
    body = BodyModel(arrays).double()
    assert {value.dtype for value in body.regressors.values()} == {torch.float64}
    assert body.posedirs.dtype == torch.float64 and body.faces.dtype == torch.int64
    out = body(torch.zeros(2, 24, 3).double(), torch.zeros(2, 10).double())
    points = body.regressors["coco17"] @ out.vertices
    assert points.shape == (2, 17, 3) and points.dtype == torch.float64
