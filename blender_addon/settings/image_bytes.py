# SPDX-License-Identifier: GPL-3.0-or-later
"""An image in Blender in a form that the backend can read: its file, its packed file, or a PNG of its pixels."""

from __future__ import annotations

import os
import struct
import zlib

import bpy
import numpy as np

from ..errors import UserError


def image_content(image: bpy.types.Image) -> str | bytes:
    """Path or encoded bytes of an image.  Raises UserError for images without pixels."""
    if image.source not in {"FILE", "GENERATED"}:
        raise UserError(
            f"{image.name!r} is not a single image ({image.source.replace('_', ' ').lower()}).",
            "Save the frame that you want as an image, and choose that.",
        )
    if image.source == "FILE" and not image.is_dirty:
        if image.packed_file is not None:
            return bytes(image.packed_file.data)
        path = bpy.path.abspath(image.filepath, library=image.library)
        if os.path.isfile(path):
            return path
    return encode_png(image_pixels(image))


def image_pixels(image: bpy.types.Image) -> np.ndarray:
    """Pixels of an image: uint8 sRGB (H, W, 3), top row first.  Raises UserError."""
    width, height = image.size
    channels = image.channels
    if not width or not height or (not image.has_data and not _load(image)):
        raise UserError(f"The image {image.name!r} has no pixels.", "Reload it, or choose another image.")
    values = np.empty(width * height * channels, np.float32)
    image.pixels.foreach_get(values)  # type: ignore[attr-defined]  # typed as a float
    values = values.reshape(height, width, channels)[::-1]
    colors = values[:, :, :3] if channels >= 3 else np.repeat(values[:, :, :1], 3, axis=2)
    if image.is_float:  # scene-linear, encoded here to sRGB; the pixels of byte images are sRGB already
        colors = np.clip(colors, 0.0, 1.0)
        colors = np.where(colors <= 0.0031308, 12.92 * colors, 1.055 * colors ** (1 / 2.4) - 0.055)
    return (np.clip(colors, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 RGB (H, W, 3) -> PNG."""
    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row begins with a byte for its filter: 0, none
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _load(image: bpy.types.Image) -> bool:
    image.update()  # pixels are read on demand
    return image.size[0] > 0 and len(image.pixels) > 0  # type: ignore[arg-type]
