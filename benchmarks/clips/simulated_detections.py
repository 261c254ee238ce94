"""Simulates MediaPipe's landmarks of a known motion, with its kinds of errors, without images."""

from __future__ import annotations

import numpy as np
import torch

from backend.body.joint_sets import BLAZEPOSE33, HIPS, SHOULDERS, mirror_pairs
from backend.body.keypoint_fit.observations import ray_rotations
from backend.body.model import BodyModel
from backend.geometry.camera_path import View
from backend.structures import Camera, Track
from benchmarks.clips.scene import GroundTruth

_BELOW_FACE = [pair for pair in mirror_pairs(BLAZEPOSE33) if pair[0] >= SHOULDERS[0]]


@torch.inference_mode()
def landmarks(body: BodyModel, truth: GroundTruth) -> np.ndarray:
    """(T, 33, 3) m: MediaPipe's landmarks on the ground-truth body, camera frame."""
    count = len(truth.poses)
    betas = torch.as_tensor(np.tile(truth.betas, (count, 1)), dtype=torch.float32)
    pose, trans = (torch.as_tensor(x, dtype=torch.float32) for x in (truth.poses, truth.trans))
    vertices = body(pose, betas, trans).vertices
    return torch.einsum("kv,tvc->tkc", body.regressors["blazepose33"], vertices).double().numpy()


def observed_track(
    body: BodyModel,
    truth: GroundTruth,
    camera: Camera,
    rng: np.random.Generator,
    *,
    pixel: float = 0.005,
    metres: float = 0.02,
    depth: float = 0.05,
    dropped: float = 0.0,
    flipped: float = 0.0,
    identity: int = 1,
    view: View | None = None,
) -> Track:
    """The track of a simulated detector.

    pixel: sd of 2D noise over the person's height in the image.  metres: sd of the 3D landmarks' noise; depth: of
    their z, half of it correlated over frames.  dropped: share of frames without a detection.  flipped: share of
    frames with a left/right swap.  view: path of a moving camera; `truth` is then in its common frame.
    """
    points = landmarks(body, truth)
    count = len(points)
    uv = camera.project(points) if view is None else view.project(points)
    if view is not None:
        points = view.points(points)
    height = np.ptp(uv[..., 1], axis=1)[:, None, None]
    uv = uv + rng.standard_normal(uv.shape) * pixel * height
    hips = points[:, HIPS].mean(1, keepdims=True)
    lens = () if view is None else (view.focal, view.center)
    rotations = ray_rotations(uv[:, HIPS].mean(1), camera, *lens)
    world = (points - hips) @ rotations + rng.standard_normal(points.shape) * metres
    slow = np.cumsum(rng.standard_normal((count, 33)), 0)
    slow = (slow - slow.mean(0)) / max(np.sqrt(count / 6), 1)
    world[..., 2] += depth * (0.5 * slow + 0.5 * rng.standard_normal((count, 33)))
    visible = np.full((count, 33), 0.95)
    swapped = rng.random(count) < flipped
    for a, b in _BELOW_FACE:
        for array in (uv, world):
            array[swapped, a], array[swapped, b] = array[swapped, b], array[swapped, a]
    seen = rng.random(count) >= dropped
    seen[[0, -1]] = True
    keypoints2d = np.concatenate([uv, visible[..., None]], -1).astype(np.float32)
    boxes = np.concatenate([uv.min(1), uv.max(1)], 1).astype(np.float32)
    scores = np.full(count, 0.95, np.float32)
    track = Track(identity, np.arange(count), seen, boxes, scores, keypoints2d, world.astype(np.float32))
    for name in ("boxes", "scores", "keypoints2d", "keypoints3d"):
        getattr(track, name)[~seen] = 0
    return track
