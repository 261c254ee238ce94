"""Makes one shard of the data set: poses, looks, cameras, images, labels; a function of (seed, split, shard)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from backend.body.joint_sets import JOINT_SETS
from backend.body.loader import load_body
from backend.body.model import BodyModel
from backend.geometry.rotations_numpy import log
from training.datasets.joint_sets import METRO24
from training.synthetic import backgrounds, furniture
from training.synthetic.appearance import Clothing, Lighting, Normals, random_colour
from training.synthetic.cameras import View, sample_view
from training.synthetic.poses import Poses, PoseSampler
from training.synthetic.renderer import Renderer, alpha_composite, make_renderer

SPLITS = ("train", "val", "test")
BATCH = 32  # bodies skinned at once; part of what a seed means, because sums round differently

# METRO's 24 joints -> the open body's regressor that has each, and its name there.  The 14 that are evaluated are those
# of Human3.6M's regressor, by which a network's mesh is measured.  (SMPL's own is no place to look: on a posed skin it
# is 70 mm off at a bent elbow.)
_METRO24: dict[str, tuple[str, str]] = {
    **{f"{s}_{n}": ("h36m17", f"{s}_{n}") for s in ("right", "left")
       for n in ("ankle", "knee", "hip", "wrist", "elbow", "shoulder")},
    "neck": ("h36m17", "neck"), "head_top": ("lsp14", "head_top"), "pelvis": ("h36m17", "pelvis"),
    "thorax": ("h36m17", "neck"), "spine": ("h36m17", "torso"), "jaw": ("h36m17", "nose"), "head": ("h36m17", "head"),
    "nose": ("coco17", "nose"),
    **{f"{s}_{n}": ("coco17", f"{s}_{n}") for s in ("left", "right") for n in ("eye", "ear")},
}  # fmt: skip


def metro24_regressor(body: BodyModel) -> np.ndarray:
    """(24, V): METRO's joints of the open body."""
    tables = {name: value.double().cpu().numpy() for name, value in body.regressors.items()}
    places = (_METRO24[name] for name in METRO24)
    return np.stack([tables[table][JOINT_SETS[table].index(joint)] for table, joint in places])


@dataclass
class Sample:
    """One image and what is true of it."""

    jpeg: bytes
    label: dict[str, Any]  # METRO's
    arrays: dict[str, np.ndarray] = field(default_factory=dict)  # for the npz


class Studio:
    """Bodies in images.  One per process."""

    part = "body"

    def __init__(
        self,
        size: int = 224,
        renderer: str = "auto",
        photos: Path | None = None,
        body: BodyModel | None = None,
    ) -> None:
        self.size = size
        self.body = body or load_body("open")
        self.photos = backgrounds.list_photos(photos)
        faces = self.body.faces.cpu().numpy()
        self.faces = self._drawn_faces(faces)
        count = int(self.faces.max()) + 1
        self.normals = Normals(self.faces, count)
        self.renderer: Renderer = make_renderer(self.faces, size, count, renderer)
        self._prepare()

    def _drawn_faces(self, faces: np.ndarray) -> np.ndarray:
        """The body and the box that it may sit on."""
        return np.concatenate([faces, furniture.FACES + len(self.body.v_template)])

    def _prepare(self) -> None:
        self.sampler = PoseSampler(self.body)
        self.clothing = Clothing(self.body)
        self.regressor = metro24_regressor(self.body)
        self._bottom = self.body.weights[:, 0].numpy() > 0.5  # what the pelvis carries
        self._sparse = self.body.v_template[:, 1].argsort()[:: len(self.body.v_template) // 345].numpy()

    def shard(self, seed: int, split: int, shard: int, count: int) -> list[Sample]:
        """The samples of one shard."""
        torch.set_num_threads(1)
        rng = np.random.default_rng([seed, split, shard, 0])
        poses = self.sampler.sample(rng, count)
        rotations = np.ascontiguousarray(poses.rotations.transpose(3, 0, 1, 2))
        samples = []
        for start in range(0, count, BATCH):
            rows = slice(start, min(start + BATCH, count))
            with torch.inference_mode():
                skinned = self.body(
                    None, torch.from_numpy(poses.betas[rows]), rotations=torch.from_numpy(rotations[rows])
                )
            vertices = skinned.vertices.numpy()
            for k, row in enumerate(range(rows.start, rows.stop)):
                own = np.random.default_rng([seed, split, shard, row + 1])
                # the capsules' floor is near the skin's; the skin's is what is seen
                height_offset = poses.height_offset[row] + self._floor_correction(poses, row, vertices[k])
                samples.append(self._sample(own, vertices[k], poses, rotations, row, height_offset))
        return samples

    def _floor_correction(self, poses: Poses, row: int, vertices: np.ndarray) -> float:
        """What is to be added to the lift so that the skin's lowest point meets the floor, or keeps its jump."""
        in_air = self.sampler.archetypes[poses.archetype[row]].support == "air"
        gap = float(vertices[:, 1].min() + poses.height_offset[row])
        return -min(gap, 0.0) if in_air else -gap

    def _sample(self, rng, vertices, poses: Poses, rotations, row: int, height_offset: float) -> Sample:
        betas, archetype = poses.betas[row], self.sampler.archetypes[poses.archetype[row]]
        world = vertices + np.array([0, height_offset, 0], np.float32)
        view = sample_view(rng, world[self._sparse], self.size)
        box, paint = furniture.EMPTY + world[0], random_colour(rng)
        if archetype.support == "seat" and rng.random() < 0.85:
            box = furniture.stool(rng, world[self._bottom], float(poses.yaw[row]))
        drawn = view.to_camera(np.concatenate([world, box])).astype(np.float32)
        seen = drawn[: len(world)]
        light = Lighting(rng, view.up)
        image = backgrounds.background(rng, view, self.size, self.photos)
        backgrounds.cast_shadow(
            image,
            view,
            np.concatenate([world[::8], box]),
            light.toward,
            light.strength * rng.uniform(0.5, 1.0),
        )
        colours = np.concatenate([self.clothing.colours(rng), np.tile(paint, (len(box), 1))])
        lit = light.shade(colours, self.normals(drawn), drawn)
        image = alpha_composite(image, self.renderer.draw(drawn, lit, view.camera))
        joints = self.regressor @ seen.astype(np.float64)
        joints2d, tight, jpeg = self._finish(rng, image, view, joints, view.project(seen))
        root = self.body.rest_joints(torch.from_numpy(betas[None]))[0, 0].double().numpy()
        camera_rotations = rotations[row].astype(np.float64)
        camera_rotations[0] = view.rotation @ camera_rotations[0]
        pose = log(camera_rotations)
        placed = poses.joints[..., row] + [
            0,
            height_offset - poses.height_offset[row],
            0,
        ]  # the skeleton's own, in the world
        trans = view.translation + view.rotation @ (root + [0, height_offset, 0]) - root
        label = {
            "2d_joints": [joints2d.tolist()],
            "has_2d_joints": 1,
            "3d_joints": [np.concatenate([joints, np.ones((24, 1))], 1).round(5).tolist()],
            "has_3d_joints": 1,
            "pose": pose.ravel().round(6).tolist(),
            "betas": betas.round(5).tolist(),
            "has_smpl": 1,
            "gender": "neutral",
            "action": archetype.name,
            **common_fields(tight, view, trans),
        }
        arrays = {
            "pose": pose.astype(np.float32), "betas": betas, "trans": trans, "camera": view.camera, "joints3d": joints,
            "joints2d": joints2d, "smpl_joints3d": view.to_camera(placed),
            "camera_rotation": view.rotation, "camera_translation": view.translation,
            "archetype": np.array(archetype.name),
        }  # fmt: skip
        return Sample(jpeg, label, arrays)

    def _finish(self, rng, image, view: View, joints, outline):
        """Occluders and the camera's faults -> joints2d (K, 3) with visibility, tight box, JPEG."""
        low, high = outline.min(0), outline.max(0)
        box = np.array([*np.maximum(low, 0), *np.minimum(high, self.size - 1)])
        hidden = backgrounds.occlude(rng, image, box)
        photo = backgrounds.apply_camera_effects(rng, image)
        uv = view.project(joints)
        seen = ((uv > -0.5) & (uv < self.size - 0.5)).all(1)
        if hidden is not None:
            at = np.clip(np.round(uv), 0, self.size - 1).astype(int)
            seen &= ~hidden[at[:, 1], at[:, 0]]
        joints2d = np.concatenate([uv, seen[:, None]], 1).round(3)
        quality = int(rng.integers(60, 96))
        done, data = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert done
        return joints2d, box, data.tobytes()


def common_fields(box: np.ndarray, view: View, trans: np.ndarray) -> dict[str, Any]:
    side = float(max(box[2] - box[0], box[3] - box[1]))
    return {
        "center": [float((box[0] + box[2]) / 2), float((box[1] + box[3]) / 2)],
        "scale": 1.2 * side / 200,
        "box": box.round(3).tolist(),
        "trans": trans.round(5).tolist(),
        "camera": view.camera.tolist(),
    }
