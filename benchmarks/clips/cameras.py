"""Moving cameras for motions in the common frame (`backend.geometry.camera_path`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.geometry import rotations_numpy as rot
from backend.geometry.camera_path import View
from backend.structures import Camera, World
from benchmarks.clips.scene import GroundTruth, Scene

_AXES = World().rotation  # common frame -> world


def look_at_rotations(positions: np.ndarray, at: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """(T, 3, 3) camera -> world, of cameras at positions (T, 3) that look at `at` (T, 3); roll: (T,) rad."""
    forward = at - positions
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    axes = np.stack([right, np.cross(forward, right), forward], -1)
    return axes @ rot.exp(roll[:, None] * [0.0, 0.0, 1.0])


def handheld_noise(count: int, fps: float, seed: int) -> np.ndarray:
    """(T, 6) slow, smooth noise, each column with mean near 0 and rms 1."""
    rng = np.random.default_rng(seed)
    time = np.arange(count) / fps
    out = np.zeros((count, 6))
    for rate in (0.4, 0.9, 1.7, 3.1):  # Hz
        phase, size = rng.uniform(0, 2 * np.pi, 6), rng.uniform(0.5, 1.0, 6) / rate**0.5
        out += size * np.sin(2 * np.pi * rate * time[:, None] + phase)
    return out / np.sqrt((out**2).mean(0))


def dolly_trajectory(count: int, fps: float, camera: Camera, zoom: float) -> View:
    """Camera path along a rail and closer, panning, handheld, zooming by `zoom`."""
    part = np.linspace(0, 1, count)
    smooth = part * part * (3 - 2 * part)
    shake = handheld_noise(count, fps, seed=3)
    positions = np.stack([-1.6 + 3.0 * smooth, -0.6 + 1.5 * smooth, 1.5 + 0.35 * np.sin(2.5 * part)], 1)
    positions += shake[:, :3] * 0.02
    target = np.stack([-1.1 + 2.0 * part, np.full(count, 5.6), np.full(count, 0.9)], 1)
    target += shake[:, 3:] * 0.03
    to_world = look_at_rotations(positions, target, 0.06 * np.sin(3 * part) + 0.008 * shake[:, 0])
    to_camera = np.swapaxes(to_world, 1, 2) @ _AXES
    translation = -(to_camera @ (positions @ _AXES)[..., None])[..., 0]
    focal = np.array([camera.fx, camera.fy]) * (1 + zoom * smooth)[:, None]
    return View(to_camera, translation, focal, np.tile([camera.cx, camera.cy], (count, 1)))


def camera_file_content(view: View, scale: float = 1.0, size: tuple[int, int] | None = None) -> dict:
    """Content of a camera file (`backend.motion.camera_track`).  scale: scene units per metre."""
    rotation = _AXES @ np.swapaxes(view.rotation, 1, 2)
    return {
        "recover_mesh": "camera",
        "version": 1,
        "frames": list(range(len(view))),
        "rotation": rotation.reshape(-1, 9).tolist(),
        "position": (view.positions @ _AXES.T * scale).tolist(),
        "intrinsics": np.concatenate([view.focal, view.center], 1).tolist(),
        **({} if size is None else {"image_size": list(size)}),
    }


def scene_at_frame(scene: Scene, t: int) -> Scene:
    """Frame t of a scene with a moving camera, as a scene of one frame in that camera's frame."""
    assert scene.view is not None
    view = scene.view[t : t + 1]
    rotation, translation = view.rotation[0], view.translation[0]
    (fx, fy), (cx, cy) = view.focal[0].tolist(), view.center[0].tolist()
    camera = replace(scene.camera, fx=fx, fy=fy, cx=cx, cy=cy)
    world = World(_AXES @ rotation.T, _AXES @ view.positions[0])
    return replace(
        scene,
        people=[_in_camera_frame(one, t, rotation, translation) for one in scene.people],
        camera=camera,
        world=world,
        view=None,
    )


def _in_camera_frame(gt: GroundTruth, t: int, rotation: np.ndarray, translation: np.ndarray) -> GroundTruth:
    poses = gt.poses[t : t + 1].copy()
    poses[:, 0] = rot.log(rotation @ rot.exp(poses[:, 0]))
    joints = gt.joints[t : t + 1] @ rotation.T + translation
    root = gt.joints[t, 0] - gt.trans[t]  # of the unposed body, which rotates about it
    return replace(gt, poses=poses, trans=joints[:, 0] - root, joints=joints, contacts=gt.contacts[t : t + 1])
