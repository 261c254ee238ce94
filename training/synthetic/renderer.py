"""Draws a shaded mesh with OpenGL (EGL, no screen needed), or with our rasterizer where there is no OpenGL.

Their images differ by rounding and by single pixels of the silhouette.  `LP_NUM_THREADS=1`: Mesa on one core.
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
    """What both renderers offer.  name: `gl` or `numpy`."""

    name: str

    def draw(self, vertices: np.ndarray, colours: np.ndarray, camera: np.ndarray) -> np.ndarray:
        """uint8 RGBA (H, W, 4), 0 outside the mesh.

        vertices (V, 3) m, camera frame; colours (V, 3) 0..255; camera: fx fy cx cy px.
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
in vec3 position; in vec3 tint; out vec3 colour; uniform vec4 camera; uniform float size;
void main() {{
    vec2 pixel = vec2(camera.x * position.x, camera.y * position.y) + (camera.zw + 0.5) * position.z;
    float near = {_NEAR}, far = {_FAR};
    // image rows go down, OpenGL's up: what is drawn upside down is read out upside down
    float depth = ((far + near) * position.z - 2.0 * far * near) / (far - near);
    gl_Position = vec4(2.0 * pixel / size - position.z, depth, position.z);
    colour = tint / 255.0;
}}"""
_FRAGMENT = """#version 330
in vec3 colour; out vec4 pixel;
void main() { pixel = vec4(colour, 1.0); }"""


class GlRenderer:
    """moderngl on EGL, one sample per pixel."""

    name = "gl"

    def __init__(self, faces: np.ndarray, size: int, count: int) -> None:
        os.environ.setdefault("LP_NUM_THREADS", "1")
        import moderngl

        self._size = size
        settings: dict[str, Any] = {"backend": "egl"}  # moderngl annotates each keyword as a dict
        self._context = moderngl.create_context(standalone=True, **settings)
        self._program = self._context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        self._program["size"] = float(size)
        self._frame = self._context.framebuffer(
            [self._context.texture((size, size), 4)], self._context.depth_renderbuffer((size, size))
        )
        self._buffer = self._context.buffer(reserve=count * 24, dynamic=True)
        index = self._context.buffer(np.ascontiguousarray(faces, np.int32).tobytes())
        self._array = self._context.vertex_array(self._program, [(self._buffer, "3f 3f", "position", "tint")], index)
        self._context.enable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self._context.front_face = "cw"  # because image rows go down
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
    """The renderer `kind`: `auto`, `gl` or `numpy`.  count: vertices.  Raises BadInput `no_gl`: no OpenGL for `gl`."""
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
    """(H, W, 3) float32: uint8 layer (H, W, 4) over a float32 background (H, W, 3), edges blurred by half a pixel."""
    soft = cv2.GaussianBlur(layer, (3, 3), 0.5).astype(np.float32)
    return background * (1 - soft[..., 3:] * np.float32(1 / 255)) + soft[..., :3]
