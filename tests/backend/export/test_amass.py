"""AMASS files contain the same bodies, in the world."""

import numpy as np
import pytest
import torch

from backend.errors import BadInput
from backend.export.amass import amass_fields, write_amass
from backend.geometry import rotations_numpy as rot
from backend.structures import Motion, World


def motion_of(poses, betas, trans):
    count, joints = poses.shape[:2]
    return Motion(
        id=1, frames=np.arange(count), poses=poses, betas=betas, trans=trans, joints=np.zeros((count, joints, 3)),
        confidence=np.ones((count, joints)), filled=np.zeros(count, bool), hidden=np.zeros(count, bool),
        contacts=np.zeros((count, 2), bool), reprojection_px=np.zeros(count), keypoints2d=np.zeros((count, 33, 3)),
    )  # fmt: skip


def test_an_amass_file_poses_the_same_vertices_in_the_world(body, tmp_path):
    rng = np.random.default_rng(0)
    poses = 0.5 * rng.standard_normal((5, 24, 3))
    poses[:, 22:] = 0  # SMPL-H has no hand joints
    betas, trans = rng.standard_normal(10), rng.standard_normal((5, 3)) + [0, 0, 5]
    world = World(rot.exp(np.array([-1.4, 0.1, 0.05])), np.array([0.0, 0.0, 1.5]))

    def vertices(poses, trans):
        tensors = (torch.as_tensor(np.asarray(x), dtype=torch.float32) for x in (poses, betas, trans))
        pose, shape, translation = tensors
        return body(pose, shape.expand(5, -1), translation).vertices.numpy()

    root = (body.joints_template + body.joints_shapedirs @ torch.as_tensor(betas, dtype=torch.float32))[0]
    motion = motion_of(poses, betas, trans)
    write_amass(tmp_path / "a.npz", motion, world, root.numpy(), 29.97, body="open", license="CC0-1.0")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        fields = dict(file)
    assert {k: v.shape for k, v in fields.items()} == {
        "poses": (5, 156), "trans": (5, 3), "betas": (16,), "dmpls": (5, 8), "gender": (), "mocap_framerate": (),
        "body": (), "license": (), "hands": (5, 6),
    }  # fmt: skip
    full = np.concatenate([fields["poses"][:, :66], np.zeros((5, 6))], 1).reshape(5, 24, 3)
    expected = world.points(vertices(poses, trans))
    np.testing.assert_allclose(vertices(full, fields["trans"]), expected, atol=2e-5)
    assert float(fields["mocap_framerate"]) == 29.97
    assert (str(fields["body"]), str(fields["license"])) == ("open", "CC0-1.0")
    assert not fields["hands"].any()


def test_smpls_hand_joints_are_in_their_own_array():
    poses = np.zeros((2, 24, 3))
    poses[:, 22] = [0.1, 0.2, 0.3]
    fields = amass_fields(motion_of(poses, np.zeros(10), np.zeros((2, 3))), World(), np.zeros(3), 30)
    np.testing.assert_allclose(fields["hands"], [[0.1, 0.2, 0.3, 0, 0, 0]] * 2)
    assert not fields["poses"][:, 66:].any()


def test_a_hand_model_is_refused():
    with pytest.raises(BadInput) as caught:
        amass_fields(motion_of(np.zeros((1, 16, 3)), np.zeros(10), np.zeros((1, 3))), World(), np.zeros(3), 30)
    assert caught.value.code == "no_amass"
