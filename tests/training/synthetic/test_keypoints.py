"""Keypoint batches: ground truth, detector noise, seeds; training of the lifter."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.body.joint_sets import BLAZEPOSE33
from backend.body.procrustes import pa_mpjpe
from backend.models.pose2mesh_small.network import INPUTS, Lifter, features, lift
from training.synthetic.keypoints import DetectorNoise, KeypointSampler
from training.synthetic.train_lifter import load_lifter, train

CLEAN = DetectorNoise(pixel=0, metres=0, depth=0, far=0, swapped=0, missing=0, tilt=0, flat=0, reversed=0)


@pytest.fixture(scope="module")
def sampler() -> KeypointSampler:
    return KeypointSampler(views=2)


def drawn(sampler, noise, seed, count):
    """A batch of one view per pose."""
    single = KeypointSampler(sampler.body, poses=sampler.poses, views=1, noise=noise)
    return single.batch(np.random.default_rng(seed), count)


def test_clean_keypoints_are_the_bodys(sampler):
    batch = drawn(sampler, CLEAN, 0, 12)
    vertices = batch.vertices(sampler.body)
    # face, hands and feet are rigid: mesh and skeleton give the same points
    rigid = [k for k, n in enumerate(BLAZEPOSE33) if k <= 10 or n.endswith(("pinky", "thumb", "heel"))]
    mesh_points = (sampler.body.regressors["blazepose33"].numpy() @ vertices)[:, rigid]
    uv = mesh_points[..., :2] / mesh_points[..., 2:] * batch.camera[:, None, :2] + batch.camera[:, None, 2:]
    np.testing.assert_allclose(batch.keypoints[:, rigid, :2], uv, atol=0.15)
    assert (batch.keypoints[..., 2] >= 0.7).all()
    np.testing.assert_allclose(batch.world, batch.ray_landmarks, atol=1e-6)
    hips = batch.landmarks[:, [23, 24]].mean(1)
    assert np.abs(hips).max() < 1e-6
    with torch.inference_mode():
        joints = sampler.body.pose_joints(torch.from_numpy(batch.rotations), torch.from_numpy(batch.betas)).numpy()
    np.testing.assert_allclose(batch.joints, joints - joints[:, :1], atol=1e-5)
    assert batch.coco19.shape == (12, 19, 3)
    np.testing.assert_allclose(batch.coco19[:, 18, :2], batch.keypoints[:, [11, 12], :2].mean(1), atol=1e-3)


def test_people_stand_upright_in_the_image(sampler):
    batch = drawn(sampler, CLEAN, 0, 400)
    head, feet = batch.keypoints[:, 0, 1], batch.keypoints[:, [27, 28], 1].mean(1)
    assert (head < feet).mean() > 0.85  # y is down; some lie or stand on their hands
    assert (batch.trans[:, 2] > 0).all()
    inside = (batch.keypoints[..., :2] > -1) & (batch.keypoints[..., :2] < sampler.size)
    assert inside.mean() > 0.95


def test_noise_has_the_given_size(sampler):
    clean = drawn(sampler, CLEAN, 1, 2000)
    noisy = drawn(sampler, DetectorNoise(swapped=0, far=0, missing=0, tilt=0, flat=0, reversed=0), 1, 2000)
    np.testing.assert_array_equal(clean.rotations, noisy.rotations)
    knee = BLAZEPOSE33.index("left_knee")
    height = np.ptp(clean.keypoints[..., :2], axis=1).max(1)
    error = (noisy.keypoints - clean.keypoints)[:, knee, :2] / np.maximum(height, 8)[:, None]
    assert abs(error.std() / (1.2 * DetectorNoise().pixel) - 1) < 0.1
    deep = (noisy.world - clean.world)[:, knee]
    assert deep[:, 2].std() > 1.8 * deep[:, 0].std()


def test_swaps_and_missing_points_happen(sampler):
    batch, clean = (drawn(sampler, noise, 2, 300) for noise in (replace(CLEAN, swapped=0.9), CLEAN))
    left, right = BLAZEPOSE33.index("left_knee"), BLAZEPOSE33.index("right_knee")
    swapped = np.abs(batch.keypoints[:, left, :2] - clean.keypoints[:, right, :2]).max(1) < 1e-3
    assert 0.3 < swapped.mean() < 0.8
    np.testing.assert_allclose(batch.world[swapped, left], clean.ray_landmarks[swapped, right], atol=1e-5)
    occluded = drawn(sampler, DetectorNoise(missing=0.5), 2, 300)
    assert 0.3 < (occluded.keypoints[..., 2] < 0.5).mean() < 0.6


def test_the_same_seed_gives_the_same_batches(sampler):
    first, again = ([next(b), next(b)] for b in (sampler.batches(7, 64), sampler.batches(7, 64)))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
    assert (first[0].keypoints != first[1].keypoints).any()
    assert len(first[0].keypoints) == 64


def test_the_metric_ignores_scale_and_rotation():
    rng = np.random.default_rng(0)
    gt = rng.normal(size=(3, 24, 3))
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    assert pa_mpjpe(0.7 * gt @ rotation + 3, gt).max() < 1e-9
    assert pa_mpjpe(gt * [-1, 1, 1], gt).min() > 50  # reflections count as errors
    assert pa_mpjpe(gt + 0.01 * rng.normal(size=gt.shape), gt).max() < 30


def test_the_lifter_learns(sampler):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch = sampler.batch(np.random.default_rng(0), 512)
    x = features(batch.keypoints, batch.world)
    assert x.shape == (512, INPUTS) and np.isfinite(x).all()
    inputs, targets = torch.from_numpy(x), torch.from_numpy(np.concatenate([batch.joints, batch.landmarks], 1))
    model = Lifter(64)
    model.fit_skip_by_ridge(inputs, targets)
    before = pa_mpjpe(lift(model.eval(), batch.keypoints, batch.world)[0], batch.joints).mean()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(60):
        optimiser.zero_grad()
        (model.train()(inputs) - targets).abs().mean().backward()
        optimiser.step()
    after = pa_mpjpe(lift(model.eval(), batch.keypoints, batch.world)[0], batch.joints).mean()
    assert after < 0.9 * before < 0.9 * 70


def test_features_do_not_depend_on_position_and_size(sampler):
    batch = sampler.batch(np.random.default_rng(0), 16)
    moved = batch.keypoints.copy()
    moved[..., :2] = 3 * moved[..., :2] + [40, -10]
    np.testing.assert_allclose(features(moved, None), features(batch.keypoints, None), atol=1e-4)


def test_written_weights_load_with_the_same_error(tmp_path, sampler):
    train(tmp_path, minutes=0.0, width=32, seed=0, noise=DetectorNoise())
    card = json.loads((tmp_path / "card.json").read_text())
    path = tmp_path / "lifter.safetensors"
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest() and card["samples"] == 8192
    model = load_lifter(path)
    batch = sampler.batch(np.random.default_rng(5), 256)
    error = pa_mpjpe(lift(model, batch.keypoints, batch.world)[0], batch.joints).mean()
    # the error in the card also holds on other people, in half precision
    assert abs(error - card["log"][-1]["PA-MPJPE 2D+3D"]) < 8


def test_a_tilted_camera_rotates_all_3d_landmarks(sampler):
    tilted = drawn(sampler, replace(CLEAN, tilt=0.3), 3, 200)
    assert pa_mpjpe(tilted.world, tilted.landmarks).max() < 0.1  # a pure rotation
    assert np.linalg.norm(tilted.world - tilted.ray_landmarks, axis=-1).mean() > 0.05
