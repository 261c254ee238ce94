"""Images of the open hand, as `studio` makes them of bodies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from backend.body.loader import load_body
from backend.geometry.rotations_numpy import exp, log
from training.synthetic import backgrounds
from training.synthetic.appearance import Lighting, hand_colours
from training.synthetic.cameras import View
from training.synthetic.hands import HandSampler
from training.synthetic.renderer import alpha_composite
from training.synthetic.studio import BATCH, Sample, Studio, common_fields


class HandStudio(Studio):
    """Makes images of right hands with MANO labels and 21 joints in FreiHAND's order.  One per process."""

    part = "hand"

    def __init__(self, size: int = 224, renderer: str = "auto", photos: Path | None = None) -> None:
        super().__init__(size, renderer, photos, load_body("open_hand"))

    def _drawn_faces(self, faces: np.ndarray) -> np.ndarray:
        """The faces with the open wrist closed."""
        edges = {(int(a), int(b)) for f in faces for a, b in ((f[0], f[1]), (f[1], f[2]), (f[2], f[0]))}
        border = {b: a for a, b in edges if (b, a) not in edges}  # opposite orientation to the faces: the lid's
        start = min(border)
        loop = [start]
        while border[loop[-1]] != start:
            loop.append(border[loop[-1]])
        lid = [(loop[0], loop[k], loop[k + 1]) for k in range(1, len(loop) - 1)]
        return np.concatenate([faces, np.array(lid, faces.dtype)])

    def _prepare(self) -> None:
        self.hands = HandSampler(self.body)
        self.regressor = self.body.regressors["freihand21"].double().numpy()
        self._rest = self.body.v_template.double().numpy()
        self._grain = np.random.default_rng(0).standard_normal(len(self._rest)).astype(np.float32)

    def shard(self, seed: int, split: int, shard: int, count: int) -> list[Sample]:
        torch.set_num_threads(1)
        rng = np.random.default_rng([seed, split, shard, 0, 7])
        hands = self.hands.sample(rng, count)
        samples = []
        for start in range(0, count, BATCH):
            rows = slice(start, min(start + BATCH, count))
            with torch.inference_mode():
                skinned = self.body(torch.from_numpy(hands.pose[rows]), torch.from_numpy(hands.betas[rows]))
            for k, row in enumerate(range(rows.start, rows.stop)):
                own = np.random.default_rng([seed, split, shard, row + 1, 7])
                samples.append(self._hand(own, skinned.vertices[k].numpy(), hands, row))
        return samples

    def _hand(self, rng, vertices: np.ndarray, hands, row: int) -> Sample:
        axis = rng.normal(size=4)
        rotation = _from_quaternion(axis / np.linalg.norm(axis))
        view = _hand_view(rng, vertices, rotation, self.size)
        seen = view.to_camera(vertices).astype(np.float32)
        up = _from_quaternion(np.array([4.0, *rng.normal(0, 0.8, 3)])) @ [0, -1, 0]
        light = Lighting(rng, up)
        flat = View(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 1.0]), view.camera)  # no floor under a hand
        image = backgrounds.background(rng, flat, self.size, self.photos)
        lit = light.shade(hand_colours(rng, self._rest, self._grain), self.normals(seen), seen)
        image = alpha_composite(image, self.renderer.draw(seen, lit, view.camera))
        joints = self.regressor @ seen.astype(np.float64)
        joints2d, box, jpeg = self._finish(rng, image, view, joints, view.project(seen))
        pose = hands.pose[row].astype(np.float64)
        pose[0] = log(view.rotation @ exp(pose[0]))
        betas = hands.betas[row]
        root = self.body.rest_joints(torch.from_numpy(betas[None]))[0, 0].double().numpy()
        trans = view.translation + view.rotation @ root - root
        detected = joints2d.copy()
        detected[:, :2] += rng.normal(0, 0.012 * max(np.ptp(joints2d[:, :2], axis=0).max(), 1.0), (21, 2))
        name = self.hands.names[hands.name[row]]
        half = (self.size - 1) / 2
        label = {
            "2d_joints": joints2d.tolist(), "has_2d_joints": 1,
            "3d_joints": np.concatenate([joints, np.ones((21, 1))], 1).round(5).tolist(), "has_3d_joints": 1,
            "hrnet_2d_joints": detected.round(3).tolist(), "pose": pose.ravel().round(6).tolist(),
            "betas": betas.round(5).tolist(), "has_smpl": 1, "action": name,
            # constant in METRO's FreiHAND TSV: the central four fifths of the image
            **common_fields(box, view, trans), "center": [half + 0.5, half + 0.5], "scale": 0.9 * self.size / 224,
        }  # fmt: skip
        arrays = {
            "pose": pose.astype(np.float32), "betas": betas, "trans": trans, "camera": view.camera, "joints3d": joints,
            "joints2d": joints2d, "detected2d": detected, "archetype": np.array(name),
        }  # fmt: skip
        return Sample(jpeg, label, arrays)


def _from_quaternion(q: np.ndarray) -> np.ndarray:
    q = q / np.linalg.norm(q)
    angle = 2 * np.arctan2(np.linalg.norm(q[1:]), q[0])
    return exp(q[1:] / max(np.linalg.norm(q[1:]), 1e-9) * angle)


def _hand_view(rng, vertices: np.ndarray, rotation: np.ndarray, size: int) -> View:
    """A camera with orientation `rotation` in which the hand (V, 3) m fills 45 to 84 % of the image of `size` px."""
    focal = size * 1.2 * (3.5 / 1.2) ** rng.random()
    middle = (vertices.min(0) + vertices.max(0)) / 2
    rotated = (vertices - middle) @ rotation.T
    share = rng.uniform(0.45, 0.84)
    distance = focal * np.ptp(rotated[:, :2], axis=0).max() / (size * share) + 0.05
    shift = np.zeros(2)
    for _ in range(3):
        z = rotated[:, 2] + distance
        uv = focal * (rotated[:, :2] + shift) / z[:, None]
        low, high = uv.min(0), uv.max(0)
        distance = max(distance * float((high - low).max()) / (size * share), 0.18)
        shift -= (low + high) / 2 * distance / focal
    shift += rng.uniform(-0.08, 0.08, 2) * size * distance / focal
    half = (size - 1) / 2
    return View(rotation, np.array([*shift, distance]) - rotation @ middle, np.array([focal, focal, half, half]))
