"""Renders the scenes: clothed people, ground, wall, soft shadows.  Numpy and OpenCV only."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch

from backend.body.joint_sets import SMPL24
from backend.body.model import BodyModel
from backend.export.overlay import shade
from backend.export.rasterizer import rasterize, vertex_normals
from benchmarks.clips.cameras import scene_at_frame
from benchmarks.clips.scene import GroundTruth, Scene

_J = {name: k for k, name in enumerate(SMPL24)}
HAIR, SKIN, SHIRT, TROUSERS, SHOES, EYES = range(6)
# sRGB: hair, skin, shirt, trousers, shoes, eyes
CLOTHING_COLORS = (
    ((60, 42, 30), (222, 172, 145), (196, 62, 52), (48, 52, 70), (230, 228, 222), (40, 30, 28)),
    ((30, 26, 24), (168, 118, 88), (66, 120, 84), (176, 160, 128), (40, 38, 40), (25, 20, 20)),
)
_WALL_DISTANCE = 9.0  # m in front of the camera


class Renderer:
    """Draws scenes with people of one body model."""

    def __init__(self, body: BodyModel, seed: int = 0) -> None:
        self._body = body
        self._faces = body.faces.cpu().numpy()
        rest = body.v_template.double().cpu().numpy()
        self._part = _parts(rest, body.joints_template.double().cpu().numpy())
        rng = np.random.default_rng(seed)
        # texture of the clothing
        self._grain = (1 + 0.08 * rng.standard_normal(len(rest))).astype(np.float32)
        self._wave = np.sin(70 * rest[:, 1] + 9 * np.sin(23 * rest[:, 0])).astype(np.float32)
        self._rng = rng

    def frames(self, scene: Scene) -> Iterator[np.ndarray]:
        """uint8 RGB (H, W, 3) of every frame."""
        if scene.view is not None:
            for t in range(len(scene.view)):
                yield from self.frames(scene_at_frame(scene, t))
            return
        backdrop, ground = self._backdrop(scene)
        each = [self._vertices(one) for one in scene.people]
        count = len(scene.people[0].poses)
        for t in range(count):
            image = backdrop.copy()
            vertices = [moving[t] for moving in each]
            _shadows(image, ground, scene, vertices)
            self._people(image, scene, vertices)
            noise = self._rng.standard_normal((*image.shape[:2], 1)).astype(np.float32) * 2.0
            yield np.clip(image + noise, 0, 255).astype(np.uint8)

    @torch.inference_mode()
    def _vertices(self, truth: GroundTruth) -> np.ndarray:
        betas = torch.as_tensor(np.tile(truth.betas, (len(truth.poses), 1)), dtype=torch.float32)
        pose, trans = (torch.as_tensor(x, dtype=torch.float32) for x in (truth.poses, truth.trans))
        return self._body(pose, betas, trans).vertices.numpy()

    def _people(self, image: np.ndarray, scene: Scene, vertices: list[np.ndarray]) -> None:
        height, width = image.shape[:2]
        factor = 2
        points = np.concatenate(vertices)
        screen = (scene.camera.project(points) + 0.5) * factor - 0.5
        starts = np.cumsum([0, *(len(v) for v in vertices[:-1])])
        faces = np.concatenate([self._faces + start for start in starts])
        raster = rasterize(screen, points[:, 2], faces, height * factor, width * factor)
        if not len(raster.rows):
            return
        normals = np.concatenate([vertex_normals(v, self._faces) for v in vertices]).astype(np.float32)
        colours = np.concatenate([self._colours(one) for one in scene.people])
        corners = faces[raster.triangles]
        weights = raster.weights[..., None]
        shaded = shade((normals[corners] * weights).sum(1), (colours[corners] * weights).sum(1))
        layer = np.zeros((height * factor, width * factor, 4), np.float32)
        layer[raster.rows, raster.columns, :3] = shaded
        layer[raster.rows, raster.columns, 3] = 1
        if scene.pillar is not None:
            left, right, depth = scene.pillar
            edge = scene.camera.project(np.array([[left, 0, depth], [right, 0, depth]]))[:, 0] * factor
            columns = np.arange(width * factor)
            layer[:, (columns > edge[0]) & (columns < edge[1]), 3] = 0
            column = image[:, round(edge[0] / factor) : round(edge[1] / factor)]
            column[:] = np.array([150, 140, 128], np.float32) * np.linspace(1.05, 0.75, column.shape[1])[None, :, None]
        small = cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA)
        alpha = small[..., 3:]
        colour = (
            small[..., :3]
            if scene.pillar is None
            else cv2.resize(layer[..., :3] * layer[..., 3:], (width, height), interpolation=cv2.INTER_AREA)
        )
        image *= 1 - alpha
        image += colour

    def _colours(self, truth: GroundTruth) -> np.ndarray:
        palette = np.array(CLOTHING_COLORS[truth.clothing % len(CLOTHING_COLORS)], np.float32)
        colours = palette[self._part]
        cloth = np.isin(self._part, (SHIRT, TROUSERS))
        colours[cloth] *= (self._grain * (1 + 0.10 * self._wave))[cloth, None]
        return colours

    def _backdrop(self, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
        """The empty scene, and per pixel the ground point (x, y in the world), NaN on the wall."""
        camera, world = scene.camera, scene.world
        x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x, float)], -1)
        directions = rays @ world.rotation.T
        height = world.translation[2]
        ray_length = np.where(directions[..., 2] < -1e-3, height / np.maximum(-directions[..., 2], 1e-3), np.inf)
        ground = directions[..., :2] * np.minimum(ray_length, 1e3)[..., None] + world.translation[:2]
        wall = ground[..., 1] > _WALL_DISTANCE
        tiles = np.sin(ground[..., 0] * np.pi / 0.9) * np.sin(ground[..., 1] * np.pi / 0.9)
        speckle = self._rng.standard_normal(x.shape)
        floor = 142 + 7 * np.sign(tiles) * np.clip(np.abs(tiles) * 8, 0, 1) + 3 * speckle
        to_wall = (_WALL_DISTANCE - world.translation[1]) / np.maximum(directions[..., 1], 1e-3)
        up = world.translation[2] + directions[..., 2] * to_wall
        across = directions[..., 0] * to_wall + world.translation[0]
        bricks = 8 * (np.sin(up * 2 * np.pi / 0.45) > 0.96) + 6 * (np.sin(across * 2 * np.pi / 1.3) > 0.97)
        wall_tone = 196 - 6 * up - bricks + 2 * speckle
        tone = np.where(wall, wall_tone, floor)
        tint = np.where(wall[..., None], np.array([1.0, 0.98, 0.93]), np.array([0.96, 0.97, 1.0]))
        ground[wall] = np.nan
        return (tone[..., None] * tint).astype(np.float32), ground


def _shadows(image: np.ndarray, ground: np.ndarray, scene: Scene, vertices: list[np.ndarray]) -> None:
    """Darken the ground beneath bodies, in place, with a small offset to the side."""
    for one in vertices:
        positions = scene.world.points(one[::12])
        spots = positions[:, :2] + positions[:, 2:] * np.array([0.35, 0.15])
        low, high = np.nanmin(spots, 0) - 0.15, np.nanmax(spots, 0) + 0.15
        with np.errstate(invalid="ignore"):
            inside = ((ground > low) & (ground < high)).all(-1)
        if not inside.any():
            continue
        cell = 0.04
        grid: np.ndarray = np.zeros(np.ceil((high - low) / cell).astype(int) + 1, np.float32)
        at = ((spots - low) / cell).astype(int)
        np.add.at(grid, (at[:, 0], at[:, 1]), np.exp(-positions[:, 2] * 1.2))
        grid = cv2.GaussianBlur(grid, (0, 0), 1.6)
        where = ((ground[inside] - low) / cell).astype(int)
        dark = np.clip(grid[where[:, 0], where[:, 1]] * 0.6, 0, 0.5)
        image[inside] *= (1 - dark)[:, None]


def _parts(rest: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(V,) index into a palette of CLOTHING_COLORS, by position on the template."""
    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    head, neck, pelvis = joints[_J["head"]], joints[_J["neck"]], joints[_J["pelvis"]]
    part = np.full(len(rest), SKIN)
    part[(y < neck[1] + 0.01) & (x < abs(joints[_J["left_shoulder"], 0]) + 0.16)] = SHIRT
    part[(y < pelvis[1] + 0.02) & (x < 0.35)] = TROUSERS
    part[(y < joints[_J["left_ankle"], 1] + 0.02) & (x < 0.35)] = SHOES
    part[(y > rest[:, 1].max() - 0.075) | ((y > head[1] + 0.03) & (z < head[2]))] = HAIR
    face = (part == SKIN) & (y > head[1]) & (z > head[2] + 0.06)
    nose = rest[np.argmax(np.where(face & (x < 0.01), z, -9))]
    eyes = np.hypot(x - 0.032, y - (nose[1] + 0.035)) < 0.011
    brows = (np.abs(y - (nose[1] + 0.058)) < 0.006) & (x > 0.015) & (x < 0.05)
    mouth = (np.abs(y - (nose[1] - 0.035)) < 0.008) & (x < 0.024)
    part[face & (eyes | brows)] = EYES
    part[face & mouth] = EYES
    return part
