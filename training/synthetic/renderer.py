"""Draws a lit mesh: by OpenGL where there is a context without a screen (EGL), else by our z-buffer; the same image.

Only the silhouette's last pixel may differ, and rounding.  `LP_NUM_THREADS=1` keeps Mesa to one core.
"""

from __future__ import annotations

import os
from typing import Any, Protocol

import cv2
import numpy as np

from backend.errors import BadInput
from backend.export.rasterizer import rasterize

_NEAR, _FAR = 0.05, 100.0


class Renderer(Protocol):
    """name: `gl` or `numpy`."""

    name: str

    def draw(self, vertices: np.ndarray, colours: np.ndarray, camera: np.ndarray) -> np.ndarray:
        """vertices (V, 3) m, camera frame; colours (V, 3) 0..255; camera fx fy cx cy px -> uint8 (H, W, 4), alpha last.

        Pixels without a body are 0.
        """
        ...


class NumpyRenderer:
    """backend.export.rasterizer, one sample per pixel."""

    name = "numpy"

    def __init__(self, faces: np.ndarray, size: int) -> None:
        self._faces, self._size = faces, size

    def draw(self, vertices: np.ndarray, colours: np.ndarray, camera: np.ndarray) -> np.ndarray:
        fx, fy, cx, cy = camera
        depth = vertices[:, 2]
        safe = np.maximum(depth, 1e-3)
        screen = np.stack([fx * vertices[:, 0] / safe + cx, fy * vertices[:, 1] / safe + cy], 1)
        raster = rasterize(screen, depth, self._faces, self._size, self._size)
        out = np.zeros((self._size, self._size, 4), np.uint8)
        corners = self._faces[raster.triangles]
        mixed = (colours[corners] * raster.weights[..., None]).sum(1)
        out[raster.rows, raster.columns, :3] = np.clip(mixed + 0.5, 0, 255)
        out[raster.rows, raster.columns, 3] = 255
        return out


_VERTEX = f"""#version 330
in vec3 place; in vec3 tint; out vec3 colour; uniform vec4 camera; uniform float size;
void main() {{
    vec2 pixel = vec2(camera.x * place.x, camera.y * place.y) + (camera.zw + 0.5) * place.z;
    float near = {_NEAR}, far = {_FAR};
    // rows go downwards here and upwards in OpenGL: the image is read out upside down, which is right again
    float depth = ((far + near) * place.z - 2.0 * far * near) / (far - near);
    gl_Position = vec4(2.0 * pixel / size - place.z, depth, place.z);
    colour = tint / 255.0;
}}"""
_FRAGMENT = """#version 330
in vec3 colour; out vec4 pixel;
void main() { pixel = vec4(colour, 1.0); }"""


class GlRenderer:
    """moderngl on EGL."""

    name = "gl"

    def __init__(self, faces: np.ndarray, size: int, count: int) -> None:
        os.environ.setdefault("LP_NUM_THREADS", "1")
        import moderngl

        self._size = size
        settings: dict[str, Any] = {"backend": "egl"}  # moderngl annotates them as dicts, each
        self._context = moderngl.create_context(standalone=True, **settings)
        self._program = self._context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        self._program["size"] = float(size)
        self._frame = self._context.framebuffer(
            [self._context.texture((size, size), 4)], self._context.depth_renderbuffer((size, size))
        )
        self._buffer = self._context.buffer(reserve=count * 24, dynamic=True)
        index = self._context.buffer(np.ascontiguousarray(faces, np.int32).tobytes())
        self._array = self._context.vertex_array(self._program, [(self._buffer, "3f 3f", "place", "tint")], index)
        self._context.enable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self._context.front_face = "cw"  # seen in an image whose rows go downwards
        self._context.cull_face = "back"
        self.device = str(self._context.info["GL_RENDERER"])

    def draw(self, vertices: np.ndarray, colours: np.ndarray, camera: np.ndarray) -> np.ndarray:
        self._buffer.write(np.concatenate([vertices, colours], 1).astype(np.float32).tobytes())
        self._program["camera"] = tuple(float(v) for v in camera)
        self._frame.use()
        self._frame.clear(0, 0, 0, 0)
        self._array.render()
        raw = self._frame.read(components=4, alignment=1)
        return np.frombuffer(raw, np.uint8).reshape(self._size, self._size, 4)


def make_renderer(faces: np.ndarray, size: int, count: int, kind: str = "auto") -> Renderer:
    """kind: `auto`, `gl` or `numpy`.  count: vertices.  Raises BadInput `no_gl` where `gl` is asked for and absent."""
    if kind in ("auto", "gl"):
        try:
            return GlRenderer(faces, size, count)
        except Exception as error:  # no EGL, no driver, no moderngl: each fails in its own way
            if kind == "gl":
                raise BadInput(
                    "no_gl",
                    f"OpenGL without a screen does not start ({error}).",
                    "Install libegl1 and libgl1-mesa-dri and the extra `train`, or use --renderer numpy.",
                ) from None
    return NumpyRenderer(faces, size)


def alpha_composite(background: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """The layer (H, W, 4) uint8 over a background (H, W, 3) float32, its edge softened by half a pixel -> float32."""
    soft = cv2.GaussianBlur(layer, (3, 3), 0.5).astype(np.float32)
    return background * (1 - soft[..., 3:] * np.float32(1 / 255)) + soft[..., :3]
