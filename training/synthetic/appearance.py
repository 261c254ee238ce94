"""Clothing and lighting: a colour per vertex, from regions of the template and patterns on them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from backend.body.joint_sets import SMPL24
from backend.body.model import BodyModel

_J = {name: k for k, name in enumerate(SMPL24)}
# sRGB, light to dark, after the Monk Skin Tone scale (2019); a person's tone lies between two neighbours
SKIN = np.array([
    (244, 226, 212), (241, 215, 195), (238, 204, 176), (224, 186, 150), (205, 160, 120), (170, 125, 88), (140, 98, 66),
    (110, 74, 52), (80, 54, 42), (56, 42, 36),
], np.float32)  # fmt: skip
HAIR = np.array([
    (28, 22, 20), (52, 36, 26), (92, 62, 38), (150, 112, 66), (205, 170, 110), (150, 60, 30), (170, 170, 170),
])  # fmt: skip


class Normals:
    """Computes vertex normals of a deforming mesh with fixed faces."""

    def __init__(self, faces: np.ndarray, count: int) -> None:
        self._faces = faces
        corner = faces.ravel()
        rows = np.ones(len(corner), np.float32)
        self._sum = sp.csr_matrix((rows, (corner, np.repeat(np.arange(len(faces)), 3))), (count, len(faces)))

    def __call__(self, vertices: np.ndarray) -> np.ndarray:
        """vertices (V, 3) float32 -> (V, 3) unit normals, outwards, weighted by face area."""
        a, b, c = (vertices[self._faces[:, k]] for k in range(3))
        u, v = b - a, c - a
        cross = np.stack([
            u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1], u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2],
            u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0],
        ], 1)  # fmt: skip
        total = self._sum @ cross
        return total / np.maximum(np.sqrt((total * total).sum(1, keepdims=True)), 1e-12)


def random_colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) sRGB 0..255: mostly near grey, sometimes saturated."""
    value = rng.uniform(20, 245)
    grey = np.full(3, value) + rng.normal(0, 6, 3)
    loud = rng.uniform(0, 255, 3)
    return np.clip(grey + (loud - grey) * rng.uniform(0, 1) ** 2, 8, 250).astype(np.float32)


def pattern(rng: np.random.Generator, points: np.ndarray, size: float = 1.0) -> np.ndarray:
    """(n, 3) sRGB colours of a random fabric at points (n, 3) m of the template."""
    base, second = random_colour(rng), random_colour(rng)
    kind = rng.integers(8)
    x, y, z = np.ascontiguousarray(points.T, np.float32) * np.float32(2 * np.pi / (size * rng.uniform(0.05, 0.14)))
    if kind <= 2:
        share = np.zeros(len(points), bool)
    elif kind == 3:
        share = np.sin(y) > rng.uniform(-0.3, 0.6)
    elif kind == 4:
        share = np.sin(x + z) > rng.uniform(0, 0.8)
    elif kind == 5:
        share = (np.sin(x + z) > 0) * 0.5 + (np.sin(y) > 0) * 0.5
    elif kind == 6:
        share = np.sin(x) * np.sin(y) * np.cos(0.7 * z) > 0.45
    else:
        share = np.sin(x * 0.6 + 2 * np.sin(y * 0.4)) + np.sin(y * 0.7 + 2 * np.sin(z * 0.5)) > 0.4
    colours = base + (second - base) * share.astype(np.float32)[:, None]
    grain = rng.standard_normal((len(points), 1), np.float32)
    return colours * (1 + 0.03 * grain)


class Clothing:
    """Random clothing, skin and hair of one body."""

    def __init__(self, body: BodyModel) -> None:
        rest = body.v_template.double().cpu().numpy()
        joints = body.joints_template.double().cpu().numpy()
        self._joints = joints
        self._head = body.weights.cpu().numpy()[:, _J["head"]] > 0.5
        y, z, x = rest[:, 1], rest[:, 2], np.abs(rest[:, 0])
        head = joints[_J["head"]]
        face = self._head & (y > head[1]) & (z > head[2] + 0.06)
        nose = rest[np.argmax(np.where(face & (x < 0.01), z, -9))]
        self._eyes = face & (np.hypot(x - 0.032, y - (nose[1] + 0.035)) < 0.011)
        self._brows = face & (np.abs(y - (nose[1] + 0.058)) < 0.006) & (x > 0.015) & (x < 0.05)
        self._mouth = face & (np.abs(y - (nose[1] - 0.035)) < 0.008) & (x < 0.024)
        self._top, self._bottom = rest[:, 1].max(), rest[:, 1].min()
        self._nose = nose
        self._rest, self._arm = rest.astype(np.float32), x.astype(np.float32)

    def colours(self, rng: np.random.Generator) -> np.ndarray:
        """(V, 3) float32, sRGB 0..255, unlit."""
        rest, joints = self._rest, self._joints
        x, y, z = self._arm, rest[:, 1], rest[:, 2]

        def height(name: str) -> float:
            return float(joints[_J[name], 1])

        tone = rng.uniform(0, len(SKIN) - 1)
        low = int(tone)
        skin = SKIN[low] + (SKIN[min(low + 1, len(SKIN) - 1)] - SKIN[low]) * (tone - low)
        colours = np.repeat(np.clip(skin * rng.uniform(0.92, 1.08, 3), 0, 255)[None].astype(np.float32), len(rest), 0)
        colours[self._mouth] *= np.array([0.9, 0.6, 0.6], np.float32)
        # trousers, shorts, skirt; shirt with sleeves of any length; a dress is one cloth
        ankle, knee, pelvis = height("left_ankle"), height("left_knee"), height("pelvis")
        hem = rng.choice(
            [ankle + 0.03, ankle + 0.12, knee - 0.1, knee + 0.06, knee + 0.2], p=[0.5, 0.1, 0.12, 0.16, 0.12]
        )
        waist = pelvis + rng.uniform(0.0, 0.08)
        lower = (y < waist) & (y > hem) & (x < 0.35)
        shoulder, elbow, wrist = (abs(float(joints[_J[f"left_{n}"], 0])) for n in ("shoulder", "elbow", "wrist"))
        sleeve = rng.choice([shoulder - 0.02, shoulder + 0.14, elbow, wrist - 0.02], p=[0.12, 0.43, 0.1, 0.35])
        collar = height("neck") - rng.choice([-0.01, 0.02, 0.07], p=[0.5, 0.3, 0.2])
        bare = rng.random() < 0.05
        upper = (y >= waist) & (y < collar) & (x < sleeve) & ~self._head
        if not bare:
            dress = rng.random() < 0.12
            dressed = upper | lower if dress else upper
            colours[dressed] = pattern(rng, rest[dressed])
            if rng.random() < 0.15:  # a print on the chest
                spot = (
                    upper & (np.abs(rest[:, 0]) < rng.uniform(0.05, 0.12)) & (np.abs(y - 0.1) < rng.uniform(0.03, 0.1))
                )
                colours[spot & (z > 0)] = random_colour(rng)
            if rng.random() < 0.12:  # an open jacket
                jacket = upper & (np.abs(rest[:, 0]) > rng.uniform(0.04, 0.09)) | (upper & (z < 0.02))
                colours[jacket] = random_colour(rng)
        if bare or not dress:
            colours[lower] = pattern(rng, rest[lower])
        if rng.random() < 0.3:
            colours[(np.abs(y - waist) < 0.018) & (x < 0.35)] = random_colour(rng) * 0.5
        if rng.random() < 0.85:
            top = ankle + rng.choice([0.0, 0.02, 0.06, 0.3], p=[0.3, 0.4, 0.2, 0.1])
            shoes = (y < top) & (x < 0.35) & ~((y > hem) & (hem < ankle + 0.1))
            colours[shoes] = random_colour(rng)
            colours[shoes & (y < self._bottom + 0.02)] *= rng.uniform(0.3, 1.0)
        self._hair(rng, colours)
        colours[self._eyes] = rng.uniform(15, 70)
        if rng.random() < 0.1:  # glasses or a mask
            band = self._head & (np.abs(y - self._nose[1] - 0.035) < 0.018) & (z > self._joints[_J["head"], 2] + 0.02)
            mask = self._head & (y < self._nose[1] + 0.01) & (y > self._nose[1] - 0.08) & (z > 0.06)
            colours[band if rng.random() < 0.6 else mask] = random_colour(rng)
        return np.clip(colours, 0, 255).astype(np.float32)

    def _hair(self, rng: np.random.Generator, colours: np.ndarray) -> None:
        y, z, x = self._rest[:, 1], self._rest[:, 2], self._arm
        head, nose = self._joints[_J["head"]], self._nose
        style = rng.choice(["bald", "short", "long", "hat", "veil"], p=[0.1, 0.45, 0.3, 0.12, 0.03])
        colour = HAIR[rng.integers(len(HAIR))] * rng.uniform(0.7, 1.2)
        colours[self._brows] = colour * 0.8
        line = self._top - rng.uniform(0.05, 0.085)
        short = self._head & ((y > line) | ((y > nose[1] - 0.03) & (z < head[2] + 0.035)))
        if style == "hat":
            colours[self._head & (y > line - 0.01)] = random_colour(rng)
            colours[short & (y <= line - 0.01)] = colour
        elif style == "veil":
            face = (np.hypot(x, y - nose[1] - 0.01) < 0.075) & (z > 0.05)
            colours[(y > head[1] - 0.16) & (x < 0.16) & ~face] = random_colour(rng)
        elif style != "bald":
            colours[short] = colour
            if style == "long":
                down = (y > head[1] - rng.uniform(0.05, 0.25)) & (x < 0.12) & (z < head[2] - 0.01)
                colours[down] = colour
        if rng.random() < 0.12:
            beard = self._head & (y < nose[1] - 0.025) & (z > head[2] + 0.02) & ~self._mouth
            colours[beard] = colour


def hand_colours(rng: np.random.Generator, rest: np.ndarray, uv_noise: np.ndarray) -> np.ndarray:
    """rest (V, 3) m -> (V, 3) sRGB 0..255: skin with a paler palm, sometimes a glove or a sleeve."""
    tone = rng.uniform(0, len(SKIN) - 1)
    low = int(tone)
    skin = SKIN[low] + (SKIN[min(low + 1, len(SKIN) - 1)] - SKIN[low]) * (tone - low)
    colours = np.repeat((skin * rng.uniform(0.92, 1.08, 3))[None], len(rest), 0)
    palm = np.clip(-rest[:, 1] / 0.01, 0, 1)[:, None]
    colours += palm * np.array([0.5, 0.4, 0.4]) * (235 - colours) * rng.uniform(0.1, 0.6)
    colours *= 1 + 0.05 * uv_noise[:, None]
    kind = rng.random()
    if kind < 0.12:
        glove = rest[:, 0] < rng.choice([0.02, -0.06, -0.12])
        cloth = pattern(rng, rest, 0.25)
        if rng.random() < 0.5:
            glove = rest[:, 0] > -0.075  # without fingers
        colours[glove] = cloth[glove]
    elif kind < 0.4:
        sleeve = rest[:, 0] > rng.uniform(-0.005, 0.02)
        colours[sleeve] = pattern(rng, rest, 0.3)[sleeve]
    return np.clip(colours, 0, 255).astype(np.float32)


class Lighting:
    """One distant light, with ambient light that is brighter from above."""

    def __init__(self, rng: np.random.Generator, up: np.ndarray) -> None:
        """up: (3,) the world's up in the camera frame."""
        direction = rng.normal(size=3) + 0.9 * up + np.array([0, 0, -0.5])
        direction /= np.linalg.norm(direction)
        if direction @ up < 0.15:
            direction += (0.35 - direction @ up) * up
        self.toward = (direction / np.linalg.norm(direction)).astype(np.float32)
        self.up = up.astype(np.float32)
        self.strength = rng.uniform(0.25, 0.9)
        self.colour = np.clip(1 + rng.normal(0, 0.06, 3), 0.8, 1.2).astype(np.float32)
        self.ambient = ((1.08 - 0.75 * self.strength) * np.clip(1 + rng.normal(0, 0.05, 3), 0.8, 1.2)).astype(
            np.float32
        )
        self.shine = rng.uniform(0, 0.12)

    def shade(self, colours: np.ndarray, normals: np.ndarray, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) float32 lit colours 0..255 from colours, normals and vertices (V, 3) in the camera frame."""
        direct = np.maximum(normals @ self.toward, 0)[:, None]
        sky = (0.72 + 0.28 * (normals @ self.up))[:, None]
        middle = vertices.mean(0)
        half = self.toward - middle / np.linalg.norm(middle)  # one view direction for all vertices
        glint = np.maximum(normals @ (half / np.linalg.norm(half)).astype(np.float32), 0)[:, None]
        glint = glint * glint * glint * glint
        glint = glint * glint * glint
        lit = colours * (sky * self.ambient + direct * (1.15 * self.strength * self.colour))
        return np.clip(lit + glint * (255 * self.shine * self.colour), 0, 255)
