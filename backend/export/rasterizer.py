"""A z-buffer in numpy: triangle number and depth per pixel, without OpenGL, the same on every machine.

A triangle is split into pixel rows, a row into the pixels inside the triangle: none outside is computed.  Depth is 1/z,
which is linear in image coordinates; so is any attribute over z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR = 0.05  # metres; triangles with a nearer corner are left out


@dataclass(frozen=True)
class Raster:
    """The N covered pixels of an image, each once."""

    rows: np.ndarray  # (N,) int
    columns: np.ndarray  # (N,) int
    triangles: np.ndarray  # (N,) int, index into the faces given
    inverse_depth: np.ndarray  # (N,) float32, 1/m
    weights: np.ndarray  # (N, 3) float32 perspective-correct barycentric weights, sum 1


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3), (F, 3) counter-clockwise from outside -> (V, 3) unit normals outwards, weighted by area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    face_normals = np.cross(b - a, c - a)
    flat = faces.ravel()
    normals = np.stack(
        [np.bincount(flat, np.repeat(face_normals[:, k], 3), minlength=len(vertices)) for k in range(3)],
        axis=1,
    )
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def rasterize(screen: np.ndarray, depth: np.ndarray, faces: np.ndarray, height: int, width: int) -> Raster:
    """The nearest front-facing triangle at every pixel centre.

    screen: (V, 2) pixels, x right, y down, pixel centres at integers.  depth: (V,) metres, positive in front of the
    camera.  faces: (F, 3), counter-clockwise from outside; back faces are culled.  Triangles nearer than NEAR are
    dropped.
    """
    corners = screen[faces].astype(np.float64)  # (F, 3, 2)
    inverse = 1.0 / np.maximum(depth, NEAR)[faces]  # (F, 3)
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    doubled_area = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
    lowest, highest = corners.min(1), corners.max(1)
    seen = (
        (doubled_area < -1e-9)
        & (depth[faces] > NEAR).all(1)
        & (highest[:, 0] >= 0)
        & (lowest[:, 0] <= width - 1)
        & (highest[:, 1] >= 0)
        & (lowest[:, 1] <= height - 1)
    )
    numbers = np.nonzero(seen)[0]
    corners, inverse, doubled_area = corners[numbers], inverse[numbers], doubled_area[numbers]

    span_row, span_triangle, left, right = _spans(corners, height, width)
    length = right - left + 1
    samples = np.repeat(np.arange(len(length)), length)  # the span of each fragment (a pixel of a triangle)
    first = np.cumsum(length) - length
    columns = (np.arange(len(samples)) - first[samples] + left[samples]).astype(np.int32)
    rows = span_row[samples].astype(np.int32)
    triangles = span_triangle[samples]

    # relative to each triangle's own corner: from the image's, float32 loses distant thin triangles
    origin = np.floor(corners.min(1))
    planes = _planes(corners - origin[:, None], inverse, doubled_area).astype(np.float32)  # weight / z of each corner
    origin = origin.astype(np.float32)
    total = planes.sum(1)
    x, y = columns - origin[triangles, 0], rows - origin[triangles, 1]
    fragment_depth = total[triangles, 0] * x + total[triangles, 1] * y + total[triangles, 2]
    winners = _nearest(rows.astype(np.int64) * width + columns, fragment_depth, height * width)

    rows, columns, triangles = rows[winners], columns[winners], triangles[winners]
    per_corner = planes[triangles]  # (N, 3 corners, 3 coefficients)
    weights = per_corner[:, :, 0] * x[winners, None] + per_corner[:, :, 1] * y[winners, None] + per_corner[:, :, 2]
    np.clip(weights, 0, None, out=weights)  # rounding at the edges
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-20)
    return Raster(rows, columns, numbers[triangles], fragment_depth[winners], weights)


def _spans(corners: np.ndarray, height: int, width: int) -> tuple[np.ndarray, ...]:
    """(F, 3, 2) px -> rows, triangles, first and last columns (S,) of all runs of pixels inside a triangle."""
    top = np.maximum(np.ceil(corners[:, :, 1].min(1)), 0).astype(np.int64)
    bottom = np.minimum(np.floor(corners[:, :, 1].max(1)), height - 1).astype(np.int64)
    count = np.maximum(bottom - top + 1, 0)
    triangles = np.repeat(np.arange(len(corners)), count)
    rows = np.arange(len(triangles)) - (np.cumsum(count) - count)[triangles] + top[triangles]
    left, right = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
    for k in range(3):
        start, end = corners[:, k], corners[:, (k + 1) % 3]
        rise = end[:, 1] - start[:, 1]
        # the edges of a front face go down on its left side and up on its right
        slope = np.divide(end[:, 0] - start[:, 0], rise, out=np.zeros(len(rise)), where=rise != 0)
        x = start[triangles, 0] + (rows - start[triangles, 1]) * slope[triangles]
        goes_down = (rise > 0)[triangles]
        goes_up = (rise < 0)[triangles]
        left = np.where(goes_down, np.maximum(left, x), left)
        right = np.where(goes_up, np.minimum(right, x), right)
    first = np.maximum(np.ceil(left), 0)
    last = np.minimum(np.floor(right), width - 1)
    inside = (last >= first) & np.isfinite(first) & np.isfinite(last)
    return rows[inside], triangles[inside], first[inside].astype(np.int64), last[inside].astype(np.int64)


def _planes(corners: np.ndarray, inverse: np.ndarray, doubled_area: np.ndarray) -> np.ndarray:
    """(F, 3, 3) coefficients (a, b, c) of each corner's barycentric weight over its depth: a x + b y + c."""
    planes = np.empty((len(corners), 3, 3))
    for k in range(3):
        p, q = corners[:, (k + 1) % 3], corners[:, (k + 2) % 3]
        planes[:, k, 0] = p[:, 1] - q[:, 1]
        planes[:, k, 1] = q[:, 0] - p[:, 0]
        planes[:, k, 2] = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
    return planes * (inverse / doubled_area[:, None])[:, :, None]


def _nearest(pixels: np.ndarray, inverse_depth: np.ndarray, size: int) -> np.ndarray:
    """Index of the fragment with the greatest inverse depth at every covered pixel.

    pixels: (N,) index of each fragment's pixel.  size: number of pixels.
    """
    best = np.full(size, -1, np.int64)
    best_depth = np.zeros(size, np.float32)
    rivals = np.arange(len(pixels))
    while len(rivals):
        # of fragments at the same pixel one is written; a nearer one is tried again in the next round
        best[pixels[rivals]] = rivals
        won = best[pixels[rivals]] == rivals
        winners = rivals[won]
        best_depth[pixels[winners]] = inverse_depth[winners]
        losers = rivals[~won]
        rivals = losers[inverse_depth[losers] > best_depth[pixels[losers]]]
    return best[best >= 0]
