"""Images of the result: the bodies over the photo, and from the side.  Drawn in numpy, without OpenGL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from backend.atomic import atomic_path, writing_error
from backend.errors import BadInput
from backend.export.rasterizer import NEAR, rasterize, vertex_normals
from backend.structures import Camera

MAX_SIDE = 1600  # px; larger photos are drawn smaller
# sRGB, one per person; bright and little saturated, so that the shading stays visible
PALETTE = np.array(
    [
        [150, 190, 235],
        [245, 170, 130],
        [160, 215, 150],
        [205, 170, 235],
        [245, 210, 120],
        [130, 215, 215],
        [240, 160, 185],
    ],
    np.float32,
)
_BACKDROP = np.array([236, 238, 241], np.float32)


def draw_overlay(
    pixels: np.ndarray,
    vertices: Sequence[np.ndarray],
    faces: np.ndarray | Sequence[np.ndarray],
    camera: Camera,
    *,
    alpha: float = 0.88,
    max_side: int = MAX_SIDE,
    supersampling: int = 2,
) -> np.ndarray:
    """The photo with P bodies drawn over it: uint8 RGB, at most `max_side` pixels on its long side.

    pixels: uint8 RGB (H, W, 3).  vertices: P arrays (V, 3), metres in the camera frame.  faces: (F, 3) of all bodies,
    or P of them; counter-clockwise from outside.  camera: of the full-size photo.  alpha: the bodies' opacity.
    The nearer surface hides the farther at every pixel.  Raises BadInput `wrong_size`.
    """
    height, width = pixels.shape[:2]
    if (width, height) != (camera.width, camera.height):
        raise BadInput(
            "wrong_size",
            f"The photo has {width} x {height} pixels, its camera {camera.width} x {camera.height}.",
            "Give the upright photo that the result was made from.",
        )
    scale = min(1.0, max_side / max(height, width))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    height, width = pixels.shape[:2]
    zoom = np.array([width / camera.width, height / camera.height])
    # pixel centres are at integers, so an image's corner is at -0.5
    screens = [(camera.project(v) + 0.5) * zoom - 0.5 for v in vertices]
    return _compose(pixels, screens, [v[:, 2] for v in vertices], vertices, faces, alpha, supersampling)


def side_view(
    vertices: Sequence[np.ndarray],
    faces: np.ndarray,
    *,
    size: int = 800,
    yaw: float = math.pi / 2,
) -> np.ndarray:
    """An orthographic image of bodies from another side, uint8 RGB (size, size, 3); shows leaning and bent knees.

    vertices: P arrays (V, 3), metres in the camera frame.  yaw: rad about the camera's vertical axis; pi/2 looks from
    the camera's right-hand side.
    """
    if not len(vertices):
        return np.broadcast_to(_BACKDROP.astype(np.uint8), (size, size, 3)).copy()
    cosine, sine = math.cos(yaw), math.sin(yaw)
    rotation = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    rotated = [np.asarray(v, np.float64) @ rotation.T for v in vertices]
    everything = np.concatenate(rotated)
    low, high = everything.min(0), everything.max(0)
    pixels_per_metre = 0.88 * size / max(high[0] - low[0], high[1] - low[1], 1e-6)
    centre = (low + high) / 2
    screens = [(v - centre)[:, :2] * pixels_per_metre + (size - 1) / 2 for v in rotated]
    backdrop = np.repeat(np.linspace(1.0, 0.86, size)[:, None], size, axis=1)[..., None] * _BACKDROP
    floor = int(min(size - 1, (high[1] - centre[1]) * pixels_per_metre + (size - 1) / 2))
    backdrop[floor:] *= 0.9
    depths = [v[:, 2] - low[2] + 10.0 for v in rotated]
    return _compose(np.round(backdrop).astype(np.uint8), screens, depths, rotated, faces, 1.0, 2)


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 RGB (H, W, 3) as PNG or JPEG by the ending.  Raises RecoverMeshError `disk_full` or `unwritable`."""
    ok, encoded = cv2.imencode(path.suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    if not ok:
        raise writing_error(path, OSError(f"OpenCV cannot encode {path.suffix}"))
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _compose(
    pixels: np.ndarray,
    screens: Sequence[np.ndarray],
    depths: Sequence[np.ndarray],
    vertices: Sequence[np.ndarray],
    faces: np.ndarray | Sequence[np.ndarray],
    alpha: float,
    supersampling: int,
) -> np.ndarray:
    """`pixels` with all bodies rasterised together, shaded, averaged over sub-pixels and blended."""
    image = pixels.copy()
    region = _region(screens, depths, *pixels.shape[:2])
    if region is None:
        return image
    x0, y0, x1, y1 = region
    factor = supersampling
    rows, columns = (y1 - y0) * factor, (x1 - x0) * factor
    each = [faces] * len(vertices) if isinstance(faces, np.ndarray) else faces
    starts = np.cumsum([0, *(len(v) for v in vertices[:-1])])
    all_faces = np.concatenate([f + start for f, start in zip(each, starts, strict=True)])
    screen = (np.concatenate(screens) - [x0 - 0.5, y0 - 0.5]) * factor - 0.5
    raster = rasterize(screen, np.concatenate(depths), all_faces, rows, columns)
    normals = np.concatenate([vertex_normals(v, f) for v, f in zip(vertices, each, strict=True)]).astype(np.float32)
    corners = all_faces[raster.triangles]
    sampled = np.zeros((len(corners), 3), np.float32)
    for k in range(3):
        sampled += normals[corners[:, k]] * raster.weights[:, k : k + 1]
    owner = np.searchsorted(np.cumsum([len(f) for f in each]), raster.triangles, side="right")
    layer = np.zeros((rows, columns, 4), np.float32)
    layer[raster.rows, raster.columns, :3] = shade(sampled, PALETTE[owner % len(PALETTE)])
    layer[raster.rows, raster.columns, 3] = 1.0
    smooth = cv2.resize(layer, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    under = image[y0:y1, x0:x1].astype(np.float32)
    mixed = under * (1 - alpha * smooth[..., 3:]) + alpha * smooth[..., :3]
    image[y0:y1, x0:x1] = np.clip(np.round(mixed), 0, 255).astype(np.uint8)
    return image


def _region(
    screens: Sequence[np.ndarray], depths: Sequence[np.ndarray], height: int, width: int
) -> tuple[int, int, int, int] | None:
    """x0 y0 x1 y1 px that contain the bodies, None where they are outside the image."""
    parts = [s[d > NEAR] for s, d in zip(screens, depths, strict=True)]
    points = np.concatenate(parts) if parts else np.zeros((0, 2))
    if not len(points):
        return None
    x0, y0 = np.maximum(np.floor(points.min(0)), 0).astype(int).tolist()
    x1, y1 = np.minimum(np.ceil(points.max(0)) + 1, [width, height]).astype(int).tolist()
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _light(x: float, y: float, z: float) -> np.ndarray:
    direction = np.array([x, y, z], np.float32)
    return direction / np.linalg.norm(direction)


# unit vectors towards the lights, in the camera frame (y down, z forward)
_KEY, _FILL, _BACK = _light(-0.55, -0.75, -0.75), _light(0.9, -0.1, -0.5), _light(0.5, -0.6, 0.65)
_KEY_COLOUR = np.array([1.0, 0.96, 0.90], np.float32) * 0.78
_FILL_COLOUR = np.array([0.80, 0.90, 1.0], np.float32) * 0.22
_SKY, _GROUND = np.array([0.30, 0.33, 0.38], np.float32), np.array([0.15, 0.13, 0.12], np.float32)


def shade(normals: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """(N, 3) normals of any length in the camera frame, (N, 3) sRGB 0..255 -> (N, 3) sRGB 0..255.

    Key, fill, hemisphere and rim light and a specular highlight, added in linear colour.
    """
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    linear = (albedo / 255.0) ** 2.2
    key = normals @ _KEY
    wrapped = np.clip((key + 0.25) / 1.25, 0, 1) ** 1.4  # wrapped diffuse light, which looks like skin
    fill = np.clip(normals @ _FILL, 0, 1)
    upward = (0.5 - 0.5 * normals[:, 1])[:, None]
    light = wrapped[:, None] * _KEY_COLOUR + fill[:, None] * _FILL_COLOUR + upward * _SKY + (1 - upward) * _GROUND
    facing = np.clip(-normals[:, 2], 0, 1)
    grazing = (1 - facing) ** 3
    rim = grazing * np.clip(normals @ _BACK + 0.35, 0, 1) * 0.55
    half = _light(*(_KEY + np.array([0, 0, -1], np.float32)).tolist())
    highlight = np.clip(normals @ half, 0, 1) ** 40 * 0.10
    colour = linear * light + (rim + highlight)[:, None]
    return np.clip(colour, 0, 1) ** (1 / 2.2) * 255.0
