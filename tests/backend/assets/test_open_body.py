"""The embedded body file: format, symmetry, and the volume of bent joints."""

import numpy as np
import pytest
import torch

from backend.body.joint_sets import BLAZEPOSE33, COCO17, H36M17, LSP14, SMPL24, mirror_indices
from backend.body.loader import load_body
from backend.body.registry import available_bodies

FLIP = np.array([-1.0, 1, 1])


@pytest.fixture(scope="module")
def asset():
    with np.load(available_bodies()[0].path, allow_pickle=False) as archive:
        return dict(archive)


def test_format_is_smpls(asset):
    shapes = {
        "v_template": (6890, 3), "f": (13776, 3), "shapedirs": (6890, 3, 10), "posedirs": (6890, 3, 207),
        "J_regressor": (24, 6890), "weights": (6890, 24),
    }  # fmt: skip
    assert {name: asset[name].shape for name in shapes} == shapes
    parents = [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]
    assert asset["kintree_table"][0].tolist()[1:] == parents
    assert str(asset["name"]) == "open_body" and str(asset["license"]) == "CC0-1.0"


def test_surface_is_closed_and_oriented_outwards(asset):
    faces = asset["f"].astype(int)
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, counts = np.unique(np.sort(directed, axis=1), axis=0, return_counts=True)
    assert (counts == 2).all()
    assert 6890 - len(counts) + len(faces) == 2  # Euler: genus 0
    assert len(np.unique(directed, axis=0)) == len(directed)  # consistently oriented
    corners = asset["v_template"][faces]
    assert np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() > 0  # outwards


def test_mirror_is_exact(asset):
    mirror = asset["mirror"].astype(int)
    assert (mirror[mirror] == np.arange(6890)).all()
    swap = mirror_indices(SMPL24)
    np.testing.assert_allclose(asset["v_template"][mirror] * FLIP, asset["v_template"], atol=1e-6)
    np.testing.assert_allclose(asset["shapedirs"][mirror] * FLIP[:, None], asset["shapedirs"], atol=1e-6)
    np.testing.assert_allclose(asset["weights"][mirror][:, swap], asset["weights"], atol=1e-6)
    for name, joints in (
        ("J_regressor", SMPL24), ("J_regressor_coco17", COCO17), ("J_regressor_h36m17", H36M17),
        ("J_regressor_lsp14", LSP14), ("J_regressor_blazepose33", BLAZEPOSE33),
    ):  # fmt: skip
        np.testing.assert_allclose(asset[name][mirror_indices(joints)][:, mirror], asset[name], atol=1e-6)


def test_a_mirrored_pose_gives_the_mirrored_body(asset):
    body = load_body("open")
    generator = torch.Generator().manual_seed(0)
    poses = torch.randn(4, 24, 3, generator=generator) * 0.4
    betas = torch.randn(4, 10, generator=generator)
    mirrored = poses[:, mirror_indices(SMPL24)] * torch.tensor([1.0, -1, -1])
    here = body(poses, betas).vertices.numpy()
    there = body(mirrored, betas).vertices.numpy()
    np.testing.assert_allclose(there[:, asset["mirror"].astype(int)] * FLIP, here, atol=2e-5)


def test_rows_sum_to_one(asset):
    assert np.abs(asset["weights"].sum(1) - 1).max() < 1e-6
    assert (asset["weights"] >= 0).all() and ((asset["weights"] > 0).sum(1) <= 7).all()
    for joint_set in ("", "_coco17", "_h36m17", "_lsp14", "_blazepose33"):
        rows = asset[f"J_regressor{joint_set}"]
        assert (rows >= 0).all() and np.abs(rows.sum(1) - 1).max() < 1e-5
        assert (rows > 0).sum(1).max() < 500


def test_beta_0_makes_taller(asset):
    taller = asset["v_template"] + asset["shapedirs"][:, :, 0]
    assert np.ptp(taller[:, 1]) - np.ptp(asset["v_template"][:, 1]) > 0.05
    assert 1.65 < np.ptp(asset["v_template"][:, 1]) < 1.80


def test_joint_positions_are_anatomical(asset):
    joints = dict(zip(SMPL24, asset["J_regressor"] @ asset["v_template"], strict=True))
    assert joints["left_hip"][0] > 0 > joints["right_hip"][0]  # the person's left is +x
    order = ("left_ankle", "left_knee", "left_hip", "spine1", "spine2", "spine3", "neck", "head")
    heights = [joints[name][1] for name in order]
    assert heights == sorted(heights)
    assert abs(joints["left_shoulder"][2] - joints["left_hip"][2]) < 0.05  # the shoulders stand over the hips
    assert 0.1 < joints["left_foot"][2] - joints["left_ankle"][2] < 0.2
    eyes = asset["J_regressor_coco17"][[1, 2]] @ asset["v_template"]
    assert 0.05 < eyes[0, 0] - eyes[1, 0] < 0.08
    top = asset["J_regressor_lsp14"][13] @ asset["v_template"]
    assert top[1] == pytest.approx(asset["v_template"][:, 1].max(), abs=0.01)


@pytest.mark.parametrize(
    ("joint", "angle", "radius"),
    [
        ("left_elbow", (0.0, -2.1, 0.0), 0.07),
        ("right_knee", (2.1, 0.0, 0.0), 0.09),
        ("left_elbow", (0.0, -1.57, 0.0), 0.07),
        ("left_shoulder", (0.0, 0.0, -1.25), 0.12),  # the armpit, arm down
        ("right_hip", (-1.5, 0.0, 0.0), 0.14),  # the groin, seated
    ],
)
def test_bent_joints_keep_more_volume_than_plain_skinning(asset, joint, angle, radius):
    """Volume of the ball of faces around the joint, against the rest pose, with and without correctives."""
    body = load_body("open").double()
    poses = torch.zeros(2, 24, 3, dtype=torch.float64)
    poses[1, SMPL24.index(joint)] = torch.tensor(angle, dtype=torch.float64)
    betas = torch.zeros(2, 10, dtype=torch.float64)
    full = body(poses, betas).vertices.numpy()
    body.posedirs.zero_()
    plain = body(poses, betas).vertices.numpy()
    center = body.rest_joints(betas)[0, SMPL24.index(joint)].numpy()
    faces = asset["f"].astype(int)
    near = (np.linalg.norm(asset["v_template"][faces] - center, axis=2) < radius).all(1)

    def volume(points):  # of the cone from the joint to the surface around it
        a, b, c = (points[faces[near][:, k]] - center for k in range(3))
        return np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6

    rest, skinned, corrected = volume(plain[0]), volume(plain[1]), volume(full[1])
    assert abs(corrected / rest - 1) < abs(skinned / rest - 1)
    assert corrected > skinned


def test_correctives_vanish_at_rest():
    body = load_body("open")
    out = body(torch.zeros(1, 24, 3), torch.zeros(1, 10))
    torch.testing.assert_close(out.vertices[0], body.v_template, atol=1e-6, rtol=0)


def test_uv_and_labels(asset):
    uv, corners = asset["uv"], asset["uv_faces"]
    assert uv.min() >= 0 and uv.max() <= 1 and corners.shape == (13776, 3) and corners.max() == len(uv) - 1
    flat = uv[corners]
    area = np.abs(np.cross(flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]))
    assert (area > 0).mean() > 0.99
    labels = asset["part_ids"].astype(int)
    assert set(labels) == set(range(24))
    np.testing.assert_array_equal(np.array(mirror_indices(SMPL24))[labels[asset["mirror"].astype(int)]], labels)
