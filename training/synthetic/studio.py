"""Makes one shard of the data set (poses, cameras, images, labels) as a function of (seed, split, shard)."""

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
BATCH = 32  # bodies skinned at once; a seed's data depend on it, because sums round differently

# METRO's 24 joints -> a regressor of the open body, and the joint's name in it.  The 14 evaluated joints are of
# Human3.6M's regressor, as in the evaluation of meshes.  (SMPL's own is 70 mm off at a bent elbow.)
_METRO24: dict[str, tuple[str, str]] = {
    **{f"{s}_{n}": ("h36m17", f"{s}_{n}") for s in ("right", "left")
       for n in ("ankle", "knee", "hip", "wrist", "elbow", "shoulder")},
    "neck": ("h36m17", "neck"), "head_top": ("lsp14", "head_top"), "pelvis": ("h36m17", "pelvis"),
    "thorax": ("h36m17", "neck"), "spine": ("h36m17", "torso"), "jaw": ("h36m17", "nose"), "head": ("h36m17", "head"),
    "nose": ("coco17", "nose"),
    **{f"{s}_{n}": ("coco17", f"{s}_{n}") for s in ("left", "right") for n in ("eye", "ear")},
}  # fmt: skip


def metro24_regressor(body: BodyModel) -> np.ndarray:
    """(24, V) regressor of METRO's joints."""
    tables = {name: value.double().cpu().numpy() for name, value in body.regressors.items()}
    rows = (_METRO24[name] for name in METRO24)
    return np.stack([tables[table][JOINT_SETS[table].index(joint)] for table, joint in rows])


@dataclass
class Sample:
    """One image and its ground truth."""

    jpeg: bytes
    label: dict[str, Any]  # METRO's
    arrays: dict[str, np.ndarray] = field(default_factory=dict)  # for the npz


class Studio:
    """Makes images of bodies.  One per process."""

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
        """Faces of the body and of the box that it may sit on."""
        return np.concatenate([faces, furniture.FACES + len(self.body.v_template)])

    def _prepare(self) -> None:
        self.sampler = PoseSampler(self.body)
        self.clothing = Clothing(self.body)
        self.regressor = metro24_regressor(self.body)
        self._bottom = self.body.weights[:, 0].numpy() > 0.5  # vertices of the pelvis
        self._sparse = self.body.v_template[:, 1].argsort()[:: len(self.body.v_template) // 345].numpy()

    def shard(self, seed: int, split: int, shard: int, count: int) -> list[Sample]:
        """`count` samples; split: index into SPLITS."""
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
                # the sampler puts the capsules on the floor; the mesh is what is visible
                height_offset = poses.height_offset[row] + self._floor_correction(poses, row, vertices[k])
                samples.append(self._sample(own, vertices[k], poses, rotations, row, height_offset))
        return samples

    def _floor_correction(self, poses: Poses, row: int, vertices: np.ndarray) -> float:
        """m to add to the height offset: the mesh's lowest point is then on the floor, in a jump not below it."""
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
        shadow = light.strength * rng.uniform(0.5, 1.0)
        backgrounds.cast_shadow(image, view, np.concatenate([world[::8], box]), light.toward, shadow)
        colours = np.concatenate([self.clothing.colours(rng), np.tile(paint, (len(box), 1))])
        lit = light.shade(colours, self.normals(drawn), drawn)
        image = alpha_composite(image, self.renderer.draw(drawn, lit, view.camera))
        joints = self.regressor @ seen.astype(np.float64)
        joints2d, tight, jpeg = self._finish(rng, image, view, joints, view.project(seen))
        root = self.body.rest_joints(torch.from_numpy(betas[None]))[0, 0].double().numpy()
        camera_rotations = rotations[row].astype(np.float64)
        camera_rotations[0] = view.rotation @ camera_rotations[0]
        pose = log(camera_rotations)
        skeleton_joints = poses.joints[..., row] + [0, height_offset - poses.height_offset[row], 0]  # world
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
            "joints2d": joints2d, "smpl_joints3d": view.to_camera(skeleton_joints),
            "camera_rotation": view.rotation, "camera_translation": view.translation,
            "archetype": np.array(archetype.name),
        }  # fmt: skip
        return Sample(jpeg, label, arrays)

    def _finish(self, rng, image, view: View, joints, outline):
        """Add occluders and camera effects -> joints2d (K, 3) px and visibility, bounding box (4,) px, JPEG bytes."""
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
    """The fields that labels of bodies and hands share."""
    side = float(max(box[2] - box[0], box[3] - box[1]))
    return {
        "center": [float((box[0] + box[2]) / 2), float((box[1] + box[3]) / 2)],
        "scale": 1.2 * side / 200,
        "box": box.round(3).tolist(),
        "trans": trans.round(5).tolist(),
        "camera": view.camera.tolist(),
    }
