"""Every kind of image in Blender in the form that the backend reads."""

from __future__ import annotations

import io

import bpy
import numpy as np
import pytest
from fake_backend import write_png
from PIL import Image

from blender_addon.errors import UserError
from blender_addon.operators.choose_photos import natural_order
from blender_addon.settings.image_bytes import encode_png, image_content


def decode(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_png_is_a_png():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(decode(encode_png(pixels)), pixels)


def test_file_is_sent_by_its_path(scene, tmp_path):
    path = write_png(tmp_path / "photo ä.png")
    assert image_content(bpy.data.images.load(str(path))) == str(path)


def test_packed_file_is_sent_as_it_is(scene, tmp_path):
    path = write_png(tmp_path / "photo.png")
    image = bpy.data.images.load(str(path))
    image.pack()
    raw = path.read_bytes()
    path.unlink()
    assert image_content(image) == raw


def test_painted_pixels_are_encoded(scene):
    """Top row first, alpha dropped, values unchanged."""
    image = bpy.data.images.new("painted", 3, 2, alpha=True)
    pixels = np.zeros((2, 3, 4), np.float32)
    pixels[0, 0] = (1.0, 0.5, 0.0, 1.0)  # Blender's first row is the lowest
    image.pixels.foreach_set(pixels.ravel())
    got = decode(image_content(image))
    assert got.shape == (2, 3, 3)
    assert got[1, 0].tolist() == [255, 128, 0] and got[0].max() == 0


def test_painting_over_a_file_counts(scene, tmp_path):
    image = bpy.data.images.load(str(write_png(tmp_path / "photo.png", 4, 4)))
    image.pixels.foreach_set(np.ones(4 * 4 * len(image.pixels) // 16, np.float32))
    assert decode(image_content(image)).min() == 255


def test_linear_pixels_become_srgb(scene):
    image = bpy.data.images.new("hdr", 2, 2, float_buffer=True)
    image.pixels.foreach_set(np.full(16, 0.5, np.float32))
    assert decode(image_content(image))[0, 0].tolist() == [188, 188, 188]


def test_image_without_pixels_is_refused(scene):
    image = bpy.data.images.new("movie", 2, 2)
    image.source = "MOVIE"
    with pytest.raises(UserError, match="is not a single image"):
        image_content(image)
    lost = bpy.data.images.new("lost", 2, 2)
    lost.source, lost.filepath = "FILE", "//nowhere.png"
    with pytest.raises(UserError, match="has no pixels"):
        image_content(lost)


def test_choose_photos(scene, tmp_path):
    for name in ("b10.png", "b2.png", "a.png"):
        write_png(tmp_path / name)
    files = [{"name": n} for n in ("b10.png", "a.png", "b2.png")]
    assert bpy.ops.recover_mesh.choose_photos(files=files, directory=str(tmp_path)) == {"FINISHED"}
    chosen = [p.path.rpartition("/")[2].rpartition("\\")[2] for p in scene.recover_mesh.photos]
    assert chosen == ["a.png", "b2.png", "b10.png"]
    assert bpy.ops.recover_mesh.remove_photo(index=1) == {"FINISHED"}
    assert len(scene.recover_mesh.photos) == 2
    with pytest.raises(RuntimeError, match="Choose an image file"):
        bpy.ops.recover_mesh.choose_photos(files=[{"name": "absent.png"}], directory=str(tmp_path))


def test_natural_order():
    assert sorted(["x10", "x9", "X1", "10", "9a"], key=natural_order) == ["9a", "10", "X1", "x9", "x10"]
