"""Backgrounds (rooms, outdoor scenes, smooth noise, clutter, the user's images), shadows, occluders, camera effects."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from backend.errors import BadInput
from training.synthetic.appearance import random_colour
from training.synthetic.cameras import View

KINDS = ("room", "outdoors", "noise", "clutter")
_PHOTOS = {".jpg", ".jpeg", ".png", ".webp"}


def noise(rng: np.random.Generator, size: int, coarsest: int = 3, octaves: int = 4) -> np.ndarray:
    """(size, size) float32 smooth noise of several scales, mean 0, about -1..1."""
    total = np.zeros((size, size), np.float32)
    for k in range(octaves):
        cells = min(coarsest * 2**k, size)
        grid = rng.standard_normal((cells, cells), np.float32) * 0.6**k
        total += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return total


@lru_cache(4)
def _pixels(size: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    return x, y


def list_photos(folder: Path | None) -> tuple[Path, ...]:
    """The images of a folder, sorted.  Raises BadInput `no_pictures`."""
    if folder is None:
        return ()
    photos = tuple(sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in _PHOTOS)) if folder.is_dir() else ()
    if not photos:
        raise BadInput(
            "no_pictures",
            f"There is no image in {folder}.",
            "Give a folder of .jpg or .png files, or leave --backgrounds out.",
        )
    return photos


def background(rng: np.random.Generator, view: View, size: int, photos: tuple[Path, ...] = ()) -> np.ndarray:
    """(size, size, 3) float32 0..255.  Painted backgrounds are drawn at half the size."""
    if photos and rng.random() < 0.7:
        return _photo(rng, photos[rng.integers(len(photos))], size)
    half = (size + 1) // 2
    fx, fy, cx, cy = (float(v) for v in view.camera)
    smaller = View(view.rotation, view.translation, np.array([fx / 2, fy / 2, cx / 2 - 0.25, cy / 2 - 0.25]))
    painted = _paint_background(rng, smaller, half)
    return np.clip(cv2.resize(painted, (2 * half, 2 * half), interpolation=cv2.INTER_LINEAR)[:size, :size], 0, 255)


def _paint_background(rng: np.random.Generator, view: View, size: int) -> np.ndarray:
    kind = KINDS[rng.choice(4, p=[0.45, 0.25, 0.15, 0.15])]
    if kind in ("room", "outdoors") and view.height > 0.1:
        return _paint_scene(rng, view, size, kind)
    x, y = _pixels(size)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = ((x * np.cos(angle) + y * np.sin(angle)) / size + 1) / 2
    out = random_colour(rng) + (random_colour(rng) - random_colour(rng)) * ramp[..., None].astype(np.float32)
    out = out + noise(rng, size)[..., None] * (rng.normal(0, 16) + rng.normal(0, 9, 3)).astype(np.float32)
    if kind == "clutter":
        _clutter(rng, out, rng.integers(4, 16))
    return out


def _photo(rng: np.random.Generator, path: Path, size: int) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise BadInput(
            "not_a_picture", f"{path} cannot be read as an image.", "Remove it from the backgrounds' folder."
        )
    height, width = image.shape[:2]
    side = int(min(height, width) * rng.uniform(0.5, 1.0))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    cut = image[top : top + side, left : left + side]
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    shrunk = cv2.resize(np.ascontiguousarray(cut), (size, size), interpolation=cv2.INTER_AREA)
    return shrunk[..., ::-1].astype(np.float32)


def _paint_scene(rng: np.random.Generator, view: View, size: int, kind: str) -> np.ndarray:
    """(size, size, 3) float32: a floor under the person, and walls or a horizon behind, in the camera's perspective."""
    x, y = _pixels(size)
    fx, fy, cx, cy = (np.float32(v) for v in view.camera)
    rotation = view.rotation.astype(np.float32)
    a, b = (x - cx) / fx, (y - cy) / fy
    # the ray of each pixel in the world, and the camera's position
    ray = [rotation[0, k] * a + rotation[1, k] * b + rotation[2, k] for k in range(3)]
    eye = [float(v) for v in -view.rotation.T @ view.translation]
    wall = eye[2] - float(view.translation[2]) - rng.uniform(0.8, 4.0) if kind == "room" else -40.0
    with np.errstate(divide="ignore", invalid="ignore"):
        to_floor = np.where(ray[1] < -1e-4, -eye[1] / ray[1], np.float32(1e6))
        to_wall = np.where(ray[2] < -1e-4, (wall - eye[2]) / ray[2], np.float32(1e6))
    on_floor = to_floor < to_wall
    distance = np.minimum(np.minimum(to_floor, to_wall), 1e4)
    across, along = eye[0] + ray[0] * distance, eye[2] + ray[2] * distance
    up = eye[1] + ray[1] * distance
    floor = _paint_surface(rng, across, along, noise(rng, size))
    if kind == "room":
        back = _paint_surface(rng, across, up * 1.5, noise(rng, size), calm=True)
        if rng.random() < 0.5:
            base = rng.uniform(0.06, 0.2)
            back[up < base] = random_colour(rng)
        for _ in range(rng.integers(0, 4)):  # windows, doors, paintings, cupboards
            left, low = rng.uniform(-3, 2.5), rng.choice([0.0, 0.6, 1.1])
            wide, tall = rng.uniform(0.3, 1.6, 2)
            inside = (across > left) & (across < left + wide) & (up > low) & (up < low + tall)
            back[inside] = random_colour(rng) + 10 * noise(rng, 8)[0, 0]
    else:
        sky = np.clip(ray[1] * 1.6, 0, 1)[..., None]
        day = np.array([200, 215, 235], np.float32) * rng.uniform(0.5, 1.1) + rng.normal(0, 14, 3).astype(np.float32)
        back = day * (1 - sky) + (day * np.array([0.6, 0.75, 1.0], np.float32)) * sky
        back += 12 * np.clip(noise(rng, size), 0, 2)[..., None]
        skyline = np.interp(across[size // 2], *_skyline(rng)).astype(np.float32)
        back[(up < skyline[None]) & (up > -5)] = random_colour(rng) * 0.8
    out = np.where(on_floor[..., None], floor, back)
    if rng.random() < 0.35:
        far = np.clip(distance / 25, 0, 1)[..., None] * rng.uniform(0, 0.8)
        out = out * (1 - far) + random_colour(rng) * far
    if rng.random() < 0.5:  # out of focus
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.6, 2.5) * size / 224)
    return out


def _paint_surface(
    rng: np.random.Generator, u: np.ndarray, v: np.ndarray, grain: np.ndarray, calm: bool = False
) -> np.ndarray:
    """(H, W, 3) tiles, planks, joints or plain at surface coordinates u, v in m."""
    base = random_colour(rng)
    change = rng.normal(0, 10 if calm else 22, 3).astype(np.float32)
    kind = rng.integers(4)
    scale = rng.uniform(1.5, 9)
    if kind == 0:
        share = ((np.floor(u * scale) + np.floor(v * scale)) % 2).astype(np.float32)
    elif kind == 1:
        share = (np.floor(u * scale * 2) * 0.37 % 1).astype(np.float32)
    elif kind == 2:
        share = ((u * scale % 1 < 0.06) | (v * scale % 1 < 0.06)).astype(np.float32)
    else:
        share = np.zeros_like(u, np.float32)
    return base + change * share[..., None] + (grain * rng.uniform(2, 12))[..., None]


def _skyline(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    edges = np.sort(rng.uniform(-60, 60, 14))
    heights = rng.uniform(0, 9, 14) * (rng.random(14) < rng.uniform(0.2, 0.9))
    return np.repeat(edges, 2) + np.tile([0, 0.01], 14), np.concatenate([[0], np.repeat(heights, 2)[:-1]])


def _clutter(rng: np.random.Generator, image: np.ndarray, count: int) -> None:
    size = image.shape[0]
    canvas = np.ascontiguousarray(image, np.float32)
    for _ in range(count):
        center = tuple(int(v) for v in rng.uniform(0, size, 2))
        axes = tuple(int(v) for v in rng.uniform(0.03, 0.35, 2) * size)
        colour = tuple(float(v) for v in random_colour(rng))
        if rng.random() < 0.5:
            cv2.ellipse(canvas, center, axes, rng.uniform(0, 180), 0, 360, colour, -1)
        else:
            corners = cv2.boxPoints((center, axes, float(rng.uniform(0, 90)))).astype(np.int32)
            cv2.fillConvexPoly(canvas, corners, colour)
    image[:] = canvas


def cast_shadow(image: np.ndarray, view: View, world: np.ndarray, toward_light: np.ndarray, strength: float) -> None:
    """Darken `image`, in place, where the body (points (n, 3), world) shadows the floor; toward_light: camera frame."""
    if view.height < 0.1:
        return
    size = image.shape[0]
    light = (view.rotation.T @ toward_light).astype(np.float32)
    spots = world - light * (np.maximum(world[:, 1:2], 0) / max(light[1], 0.25))
    near = np.exp(-1.5 * np.maximum(world[:, 1], 0))
    seen = view.to_camera(spots)
    front = seen[:, 2] > 0.1
    uv = view.project(seen[front])
    cells = 56
    at = np.floor((uv + 0.5) * (cells / size)).astype(int)
    inside = ((at >= 0) & (at < cells)).all(1)
    at = at[inside]
    grid = np.bincount(at[:, 1] * cells + at[:, 0], near[front][inside], cells * cells).reshape(cells, cells)
    soft = cv2.GaussianBlur(grid.astype(np.float32), (0, 0), 1.0)
    dark = 1 - strength * (1 - np.exp(-soft * (1.2 * 345 / len(world))))
    image *= cv2.resize(dark, (size, size), interpolation=cv2.INTER_LINEAR)[..., None]


def occlude(rng: np.random.Generator, image: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """Draw occluders into `image` before the person in `box` (x0 y0 x1 y1 px) -> (H, W) bool mask, or None for none."""
    if rng.random() > 0.25:
        return None
    size = image.shape[0]
    mask = np.zeros((size, size), np.uint8)
    for _ in range(rng.integers(1, 3)):
        wide, tall = np.maximum(box[2:] - box[:2], 4)
        center = (float(rng.uniform(box[0], box[2])), float(rng.uniform(box[1] + 0.15 * tall, box[3])))
        kind = rng.integers(3)
        one = np.zeros_like(mask)
        if kind == 0:
            cv2.ellipse(
                one,
                (int(center[0]), int(center[1])),
                (int(rng.uniform(0.05, 0.22) * wide) + 2, int(rng.uniform(0.05, 0.18) * tall) + 2),
                rng.uniform(0, 180),
                0,
                360,
                (1,),
                -1,
            )
        elif kind == 1:
            axes = (float(rng.uniform(0.1, 0.45) * wide), float(rng.uniform(0.08, 0.3) * tall))
            cv2.fillConvexPoly(one, cv2.boxPoints((center, axes, float(rng.uniform(-20, 20)))).astype(np.int32), (1,))
        else:  # a post
            half = max(int(min(rng.uniform(0.02, 0.07) * size, 0.15 * wide)), 1)
            one[:, max(int(center[0]) - half, 0) : int(center[0]) + half] = 1
        shade = random_colour(rng) + noise(rng, size, 4, 3)[..., None] * rng.uniform(3, 18)
        where = one.astype(bool)
        image[where] = np.clip(shade[where], 0, 255)
        mask |= one
    return mask.astype(bool)


def apply_camera_effects(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """uint8 image from a float32 one, with a camera's exposure, white balance, blur and noise."""
    gain = np.clip(rng.normal(1, 0.12), 0.6, 1.4) * np.clip(1 + rng.normal(0, 0.04, 3), 0.85, 1.15)
    out = image * gain.astype(np.float32)
    if rng.random() < 0.3:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, 1.1) * image.shape[0] / 224)
    if rng.random() < 0.08:  # motion blur
        length = int(rng.integers(2, 6))
        kernel = np.zeros((length, length), np.float32)
        cv2.line(kernel, (0, int(rng.integers(length))), (length - 1, int(rng.integers(length))), (1.0,))
        out = cv2.filter2D(out, -1, kernel / kernel.sum())
    if rng.random() < 0.03:
        out = np.repeat(out.mean(2, keepdims=True), 3, 2)
    sigma = abs(rng.normal(0, 3.5))
    # coloured noise takes three times as long as grey, so fewer images get it
    shape = out.shape if rng.random() < 0.3 else (*out.shape[:2], 1)
    grain = rng.standard_normal(shape, np.float32)
    grain *= np.float32(sigma)
    return cv2.convertScaleAbs(np.maximum(out + grain, 0))
