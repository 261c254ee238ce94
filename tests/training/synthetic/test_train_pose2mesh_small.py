"""Training and evaluation of the small Pose2Mesh: deep poses, coarse mesh, detections, comparison."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from backend.body.loader import load_body
from backend.geometry.rotations_numpy import log
from backend.models.weights import load_network
from backend.models.weights_files import EMBEDDED, read_card
from training.synthetic import anatomy, train_pose2mesh_small
from training.synthetic.anatomy import INDEX
from training.synthetic.coarse_mesh import CoarseSkinning, coarse_mesh, fit_upsampling
from training.synthetic.compare import KINDS, METHODS, measure, pose_categories, posed_gt, recovery_methods, summary
from training.synthetic.deep_poses import deep_poses
from training.synthetic.detected import load_detected
from training.synthetic.keypoints import DetectorNoise, KeypointSampler
from training.synthetic.pose_library import all_archetypes
from training.synthetic.poses import PoseSampler
from training.synthetic.train_lifter import train


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.fixture(scope="module")
def sampler(body):
    return KeypointSampler(body, views=1)


def squats(sampler: PoseSampler) -> float:
    """Share of poses with deep flexion of both knees and both hips."""
    angles = np.rad2deg(sampler.sample(np.random.default_rng(1), 2000).angles)
    sides = ("left", "right")
    knees, hips = (np.min([angles[:, INDEX[f"{s}_{n}_flex"]] for s in sides], 0) for n in ("knee", "hip"))
    return float(((knees > 110) & (hips > 90)).mean())


def test_deep_poses_are_frequent(body, sampler):
    assert squats(sampler.poses) > 0.08
    assert squats(PoseSampler(body)) < 0.03  # without the deep poses


def test_archetypes_follow_their_weights_though_few_samples_pass(sampler):
    poses = sampler.poses
    drawn = np.bincount(poses.sample(np.random.default_rng(2), 6000).archetype, minlength=len(poses.archetypes))
    wanted = np.array([a.weight for a in poses.archetypes])
    ratio = (drawn / drawn.sum()) / (wanted / wanted.sum())
    names = [a.name for a in poses.archetypes]
    for name in ("deep squat", "catcher", "kneel one knee", "sit cross-legged"):  # a third to a seventh passes
        assert 0.5 < ratio[names.index(name)] < 1.6, name


def test_deep_poses_are_within_the_limits():
    names = [a.name for a in all_archetypes()]
    for archetype in deep_poses():
        assert archetype.name not in names and archetype.support in KINDS
        assert np.abs(anatomy.limited(archetype.frames) - archetype.frames).max() < np.deg2rad(6), archetype.name
    assert list(pose_categories(["catcher", "walk", "lunge", "sit"])) == ["deep", "moving", "deep", "seated"]


def test_coarse_skinning_and_upsampling_match_the_full_mesh(body, sampler):
    index, adjacency, plain = coarse_mesh(body)
    up = fit_upsampling(body, sampler.poses, index, plain, np.random.default_rng(0))
    batch = sampler.batch(np.random.default_rng(3), 16)
    joints, vertices = posed_gt(body, batch.rotations, batch.betas)
    vertices = vertices - joints[:, :1]
    coarse = CoarseSkinning(body, index)(torch.from_numpy(batch.rotations), torch.from_numpy(batch.betas)).numpy()
    np.testing.assert_allclose(coarse, vertices[:, index], atol=1e-5)
    assert adjacency.shape == (431, 431) and up.shape == plain.shape == (6890, 431)
    errors = [
        np.linalg.norm(np.stack([matrix @ c for c in coarse]) - vertices, axis=-1).mean() for matrix in (up, plain)
    ]
    assert errors[0] < 0.002 < errors[1]


@pytest.fixture
def seen(tmp_path, body, sampler):
    """A file of `detected` from a perfect detector, the last detection of a wrong person; and its batch."""
    noise, sampler.noise = sampler.noise, DetectorNoise(*[0.0] * 9)
    batch = sampler.batch(np.random.default_rng(4), 8)
    sampler.noise = noise
    points = batch.keypoints.copy()
    points[7, :, :2] += 100
    path = tmp_path / "seen.npz"
    np.savez(
        path, k2=points, k3=batch.world, pose=log(batch.rotations.astype(float)), betas=batch.betas, trans=batch.trans,
        camera=batch.camera, name=np.array(["walk"] * 8),
    )  # fmt: skip
    return path, batch


def test_detections_have_ground_truth(body, seen):
    path, batch = seen
    found = load_detected([path], body)
    assert len(found) == 7  # without the wrong person
    between, expected = (points[:, :11] - points[:, :1] for points in (found.landmarks, batch.world[:7]))
    np.testing.assert_allclose(between, expected, atol=1e-4)  # the face is rigid: mesh and skeleton agree
    np.testing.assert_allclose(found.joints, batch.ray_joints[:7], atol=1e-4)  # rays to the hips of mesh and skeleton
    keypoints, world, landmarks, _ = found.sample(np.random.default_rng(0), 200)
    # 2D and 3D are mirrored and rolled together: left in the image is left in space
    assert np.abs(world - landmarks).max() < 0.15
    hips = (landmarks[:, 23] - landmarks[:, 24])[:, :2]
    pixels = (keypoints[:, 23] - keypoints[:, 24])[:, :2]
    cosine = (hips * pixels).sum(1) / (np.linalg.norm(hips, axis=1) * np.linalg.norm(pixels, axis=1))
    assert np.median(cosine) > 0.9


def test_training_writes_weights_with_their_card(tmp_path, body, seen, monkeypatch):
    train(tmp_path / "lifter", minutes=0.0, width=512, seed=0, noise=DetectorNoise(), detected=[seen[0]])
    out = tmp_path / "pose2mesh-small.safetensors"
    monkeypatch.setattr("sys.argv", ["x", str(tmp_path / "lifter"), str(out), "--minutes", "0", "--seed", "1"])
    assert train_pose2mesh_small.main() == 0
    made = json.loads(out.with_suffix(".json").read_text())
    assert made["bytes"] == out.stat().st_size < 25e6
    assert read_card(out).license.startswith("CC0-1.0")
    loaded = load_network("pose2mesh-small", path=out)
    assert made["log"][-1]["MPVPE of true points"] < 20
    assert loaded.module.pose_lifter.w1.weight.shape == (512, 199)


def test_the_open_body_is_the_one_of_the_training(body):
    card = json.loads((EMBEDDED / "pose2mesh-small.json").read_text())
    assert train_pose2mesh_small.body_hash(body) == card["body_sha256"]


def test_the_embedded_network_beats_the_plain_fit_on_held_out_poses(body, sampler):
    """Fixed held-out poses: another seed, other betas."""
    held_out = sampler.batch(np.random.default_rng([901, 0]), 32)
    gt = posed_gt(body, held_out.rotations, held_out.betas)
    methods = recovery_methods(body)
    errors = {n: measure(body, m, held_out.keypoints, held_out.world, gt, sampler.size) for n, m in methods.items()}
    plain, small, both, _ = (errors[name]["PA-MPJPE"] for name in METHODS)
    assert small.mean() < 0.85 * plain.mean() and (small < plain).mean() > 0.7
    assert both.mean() < plain.mean()
    table = summary(errors, pose_categories([sampler.poses.archetypes[k].name for k in held_out.archetype]))
    assert table["n"] == 32 == sum(table["kinds"].values())
    assert table[METHODS[0]]["MPVPE"]["mean"] > table[METHODS[1]]["MPVPE"]["mean"]
