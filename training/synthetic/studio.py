"""Makes one shard of the data set: poses, looks, cameras, pictures and labels, a function of (seed, split, shard) alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from backend.body.joints import COCO17, H36M17, LSP14, SMPL24
from backend.body.keypoint_fit.rotations import exp, log
from backend.body.loader import load_body
from backend.body.model import BodyModel
from training.synthetic import backgrounds
from training.synthetic.cameras import View, choose_view
from training.synthetic.hands import HandSampler
from training.synthetic.looks import Light, Normals, Wardrobe, hand_colours
from training.synthetic.poses import PoseSampler
from training.synthetic.renderer import Renderer, laid_over, make_renderer

SPLITS = ("train", "val", "test")
_BATCH = 32  # bodies skinned at once; part of what a seed means, because sums round differently

# METRO's 24 joints -> the open body's regressor that has each, and its name there
METRO24: dict[str, tuple[str, str]] = {
    **{f"{s[0].upper()}_{n.capitalize()}": ("smpl24", f"{s}_{n}") for s in ("right", "left")
       for n in ("ankle", "knee", "wrist", "elbow", "shoulder")},
    "R_Hip": ("lsp14", "right_hip"), "L_Hip": ("lsp14", "left_hip"), "Neck": ("lsp14", "neck"),
    "Top_of_Head": ("lsp14", "head_top"), "Pelvis": ("h36m17", "pelvis"), "Thorax": ("h36m17", "neck"),
    "Spine": ("h36m17", "torso"), "Jaw": ("h36m17", "nose"), "Head": ("h36m17", "head"), "Nose": ("coco17", "nose"),
    **{f"{s[0].upper()}_{n.capitalize()}": ("coco17", f"{s}_{n}") for s in ("left", "right") for n in ("eye", "ear")},
}  # fmt: skip
METRO24_NAMES = (
    "R_Ankle", "R_Knee", "R_Hip", "L_Hip", "L_Knee", "L_Ankle", "R_Wrist", "R_Elbow", "R_Shoulder", "L_Shoulder",
    "L_Elbow", "L_Wrist", "Neck", "Top_of_Head", "Pelvis", "Thorax", "Spine", "Jaw", "Head", "Nose", "L_Eye", "R_Eye",
    "L_Ear", "R_Ear",
)  # fmt: skip


def metro24_regressor(body: BodyModel) -> np.ndarray:
    """(24, V): METRO's joints of the open body."""
    sets = {"smpl24": SMPL24, "lsp14": LSP14, "h36m17": H36M17, "coco17": COCO17}
    tables = {name: value.double().cpu().numpy() for name, value in body.regressors.items()}
    tables["smpl24"] = body.joint_regressor.double().cpu().numpy()
    places = (METRO24[name] for name in METRO24_NAMES)
    return np.stack([tables[table][sets[table].index(joint)] for table, joint in places])


@dataclass
class Sample:
    """One picture and what is true of it."""

    jpeg: bytes
    label: dict[str, Any]  # METRO's
    arrays: dict[str, np.ndarray] = field(default_factory=dict)  # for the npz


class Studio:
    """Bodies in pictures.  One per process."""

    part = "body"

    def __init__(
        self, size: int = 224, renderer: str = "auto", photos: Path | None = None, body: BodyModel | None = None
    ) -> None:
        self.size = size
        self.body = body or load_body("open")
        self.photos = backgrounds.list_photos(photos)
        faces = self.body.faces.cpu().numpy()
        self.faces = self._drawn_faces(faces)
        self.normals = Normals(self.faces, len(self.body.v_template))
        self.renderer: Renderer = make_renderer(self.faces, size, len(self.body.v_template), renderer)
        self._prepare()

    def _drawn_faces(self, faces: np.ndarray) -> np.ndarray:
        return faces

    def _prepare(self) -> None:
        self.sampler = PoseSampler(self.body)
        self.wardrobe = Wardrobe(self.body)
        self.regressor = metro24_regressor(self.body)
        self._sparse = self.body.v_template[:, 1].argsort()[:: len(self.body.v_template) // 345].numpy()

    def shard(self, seed: int, split: int, shard: int, count: int) -> list[Sample]:
        """The samples of one shard."""
        torch.set_num_threads(1)
        rng = np.random.default_rng([seed, split, shard, 0])
        poses = self.sampler.sample(rng, count)
        rotations = np.ascontiguousarray(poses.rotations.transpose(3, 0, 1, 2))
        samples = []
        for start in range(0, count, _BATCH):
            rows = slice(start, min(start + _BATCH, count))
            with torch.inference_mode():
                skinned = self.body(
                    None, torch.from_numpy(poses.betas[rows]), rotations=torch.from_numpy(rotations[rows])
                )
            vertices = skinned.vertices.numpy()
            for k, row in enumerate(range(rows.start, rows.stop)):
                own = np.random.default_rng([seed, split, shard, row + 1])
                # the capsules' floor is near the skin's; the skin's is what is seen
                lift = poses.lift[row] + self._settle(poses, row, vertices[k])
                samples.append(
                    self._sample(own, vertices[k], rotations[row], poses.betas[row], lift, poses.archetype[row])
                )
        return samples

    def _settle(self, poses, row: int, vertices: np.ndarray) -> float:
        """What is to be added to the lift so that the skin's lowest point meets the floor, or keeps its jump."""
        in_air = self.sampler.archetypes[poses.archetype[row]].support == "air"
        gap = float(vertices[:, 1].min() + poses.lift[row])
        return -min(gap, 0.0) if in_air else -gap

    def _sample(self, rng, vertices, rotations, betas, lift, archetype) -> Sample:
        world = vertices + np.array([0, lift, 0], np.float32)
        view = choose_view(rng, world[self._sparse], self.size)
        seen = view.seen(world).astype(np.float32)
        light = Light(rng, view.up)
        image = backgrounds.background(rng, view, self.size, self.photos)
        backgrounds.cast_shadow(image, view, world[::8], light.toward, light.strength * rng.uniform(0.5, 1.0))
        lit = light.shade(self.wardrobe.colours(rng), self.normals(seen), seen)
        layer = self.renderer.draw(seen, lit, view.camera)
        image = laid_over(image, layer)
        joints = self.regressor @ seen.astype(np.float64)
        image, joints2d, box, jpeg = self._finish(rng, image, view, joints, view.pixels(seen))
        root = self.body.rest_joints(torch.from_numpy(betas[None]))[0, 0].double().numpy()
        turned = rotations.astype(np.float64)
        turned[0] = view.rotation @ turned[0]
        pose = log(turned)
        trans = view.translation + view.rotation @ (root + [0, lift, 0]) - root
        name = self.sampler.archetypes[archetype].name
        label = {
            "2d_joints": [joints2d.tolist()],
            "has_2d_joints": 1,
            "3d_joints": [np.concatenate([joints, np.ones((24, 1))], 1).round(5).tolist()],
            "has_3d_joints": 1,
            "pose": pose.ravel().round(6).tolist(),
            "betas": betas.round(5).tolist(),
            "has_smpl": 1,
            "gender": "neutral",
            "action": name,
            **_common(box, view, trans),
        }
        arrays = {
            "pose": pose.astype(np.float32), "betas": betas, "trans": trans, "camera": view.camera, "joints3d": joints,
            "joints2d": joints2d, "camera_rotation": view.rotation, "camera_translation": view.translation,
            "archetype": np.array(name),
        }  # fmt: skip
        return Sample(jpeg, label, arrays)

    def _finish(self, rng, image, view: View, joints, outline):
        """Occluders and the camera's faults -> picture, joints2d (K, 3) with visibility, tight box, JPEG."""
        low, high = outline.min(0), outline.max(0)
        box = np.array([*np.maximum(low, 0), *np.minimum(high, self.size - 1)])
        hidden = backgrounds.occlude(rng, image, box)
        picture = backgrounds.photographed(rng, image)
        uv = view.pixels(joints)
        seen = ((uv > -0.5) & (uv < self.size - 0.5)).all(1)
        if hidden is not None:
            at = np.clip(np.round(uv), 0, self.size - 1).astype(int)
            seen &= ~hidden[at[:, 1], at[:, 0]]
        joints2d = np.concatenate([uv, seen[:, None]], 1).round(3)
        quality = int(rng.integers(60, 96))
        done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert done
        return picture, joints2d, box, data.tobytes()


def _common(box: np.ndarray, view: View, trans: np.ndarray) -> dict[str, Any]:
    side = float(max(box[2] - box[0], box[3] - box[1]))
    return {
        "center": [float((box[0] + box[2]) / 2), float((box[1] + box[3]) / 2)],
        "scale": 1.2 * side / 200,
        "box": box.round(3).tolist(),
        "trans": trans.round(5).tolist(),
        "camera": view.camera.tolist(),
    }


class HandStudio(Studio):
    """Hands in pictures, in MANO's format (a right hand; 21 joints in FreiHAND's order)."""

    part = "hand"

    def __init__(self, size: int = 224, renderer: str = "auto", photos: Path | None = None) -> None:
        super().__init__(size, renderer, photos, load_body("open_hand"))

    def _drawn_faces(self, faces: np.ndarray) -> np.ndarray:
        """With the open wrist closed."""
        edges = {(int(a), int(b)) for f in faces for a, b in ((f[0], f[1]), (f[1], f[2]), (f[2], f[0]))}
        border = {b: a for a, b in edges if (b, a) not in edges}  # runs against the faces, as a lid's edge does
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
        for start in range(0, count, _BATCH):
            rows = slice(start, min(start + _BATCH, count))
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
        seen = view.seen(vertices).astype(np.float32)
        up = _from_quaternion(np.array([4.0, *rng.normal(0, 0.8, 3)])) @ [0, -1, 0]
        light = Light(rng, up)
        flat = View(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 1.0]), view.camera)  # no floor under a hand
        image = backgrounds.background(rng, flat, self.size, self.photos)
        lit = light.shade(hand_colours(rng, self._rest, self._grain), self.normals(seen), seen)
        image = laid_over(image, self.renderer.draw(seen, lit, view.camera))
        joints = self.regressor @ seen.astype(np.float64)
        image, joints2d, box, jpeg = self._finish(rng, image, view, joints, view.pixels(seen))
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
            # the whole picture is the crop, as in FreiHAND's TSV: [112, 112] and 0.9 there
            **_common(box, view, trans), "center": [half + 0.5, half + 0.5], "scale": 0.9 * self.size / 224,
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
    """A hand turned anyhow, filling about 55 to 100 % of the picture."""
    focal = size * 1.2 * (3.5 / 1.2) ** rng.random()
    middle = (vertices.min(0) + vertices.max(0)) / 2
    turned = (vertices - middle) @ rotation.T
    share = rng.uniform(0.55, 1.02)
    distance = focal * np.ptp(turned[:, :2], axis=0).max() / (size * share) + 0.05
    shift = np.zeros(2)
    for _ in range(3):
        z = turned[:, 2] + distance
        uv = focal * (turned[:, :2] + shift) / z[:, None]
        low, high = uv.min(0), uv.max(0)
        distance = max(distance * float((high - low).max()) / (size * share), 0.18)
        shift -= (low + high) / 2 * distance / focal
    shift += rng.uniform(-0.08, 0.08, 2) * size * distance / focal
    half = (size - 1) / 2
    return View(rotation, np.array([*shift, distance]) - rotation @ middle, np.array([focal, focal, half, half]))


def make_studio(part: str, size: int, renderer: str = "auto", photos: Path | None = None) -> Studio:
    """part: `body` or `hand`."""
    return (HandStudio if part == "hand" else Studio)(size, renderer, photos)


