"""Photos: orientation, colour modes, depths, focal length, and files that are refused."""

import io
import os

import numpy as np
import pytest
from PIL import ExifTags, Image

from backend.errors import BadInput
from backend.media.photo import MAX_PIXELS, encode_png, load_image

RAMP = np.stack(np.broadcast_arrays(*np.ogrid[0:120:40j, 0:240:60j], 128.0), -1).astype(np.uint8)  # (40, 60, 3)


def save(path, image, **options):
    image.save(path, **options)
    return str(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_comes_out_upright(tmp_path, orientation):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = Image.fromarray(RAMP)
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    loaded = load_image(save(tmp_path / "photo.png", stored, exif=exif))
    np.testing.assert_array_equal(loaded.pixels, RAMP)
    assert loaded.needs_reencoding == (orientation != 1)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "1"])
def test_modes_become_rgb(tmp_path, mode):
    loaded = load_image(save(tmp_path / "photo.png", Image.fromarray(RAMP).convert(mode)))
    assert loaded.pixels.shape == (40, 60, 3) and loaded.pixels.dtype == np.uint8
    if mode in ("RGB", "RGBA"):
        np.testing.assert_array_equal(loaded.pixels, RAMP)


def test_transparent_pixels_are_white(tmp_path):
    rgba = np.dstack([RAMP, np.zeros((40, 60), np.uint8)])
    assert (load_image(save(tmp_path / "a.png", Image.fromarray(rgba))).pixels == 255).all()


def test_cmyk_is_converted(tmp_path):
    path = save(tmp_path / "photo.jpg", Image.fromarray(RAMP).convert("CMYK"), quality=98)
    loaded = load_image(path)
    assert loaded.needs_reencoding
    assert np.abs(loaded.pixels.astype(int) - RAMP).mean() < 6


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    grey = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    loaded = load_image(save(tmp_path / "photo.png", Image.fromarray(grey)))
    assert loaded.needs_reencoding
    np.testing.assert_allclose(loaded.pixels[..., 1], grey / 257.0, atol=1)


def test_float_tiff_is_scaled(tmp_path):
    values = np.linspace(0, 1, 40 * 60, dtype=np.float32).reshape(40, 60)
    loaded = load_image(save(tmp_path / "photo.tif", Image.fromarray(values)))
    np.testing.assert_allclose(loaded.pixels[..., 0], values * 255, atol=1)


def test_path_with_spaces_and_letters(tmp_path):
    folder = tmp_path / "Ünï cödé 写真"
    folder.mkdir()
    assert load_image(save(folder / "a b.png", Image.fromarray(RAMP))).pixels.shape == (40, 60, 3)


def test_encoded_bytes_are_read():
    np.testing.assert_array_equal(load_image(encode_png(RAMP)).pixels, RAMP)


def test_a_hundred_megapixels_work(tmp_path):
    path = save(tmp_path / "large.png", Image.new("L", (10_000, 10_000), 90))
    assert load_image(path).pixels.shape == (10_000, 10_000, 3)


@pytest.mark.parametrize(
    ("tags", "focal"),
    [
        ({ExifTags.Base.FocalLengthIn35mmFilm: 36}, 60.0),
        ({ExifTags.Base.FocalLengthIn35mmFilm: 0}, None),
        (
            {
                ExifTags.Base.FocalLength: 5.0, ExifTags.Base.FocalPlaneXResolution: 1200.0,
                ExifTags.Base.FocalPlaneResolutionUnit: 3, ExifTags.Base.ExifImageWidth: 120,
                ExifTags.Base.ExifImageHeight: 80,
            },
            300.0,  # 5 mm x 120 px/mm, halved because the image is half as large as the sensor's
        ),
        ({}, None),
    ],
)  # fmt: skip
def test_focal_length_from_exif(tmp_path, tags, focal):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif).update(tags)
    found = load_image(save(tmp_path / "photo.jpg", Image.fromarray(RAMP), exif=exif)).focal_px
    assert found == (None if focal is None else pytest.approx(focal))


def refused(source):
    with pytest.raises(BadInput) as caught:
        load_image(source)
    assert caught.value.message and caught.value.hint
    return caught.value.code


def test_unusable_files_have_codes(tmp_path):
    text, empty = tmp_path / "text.jpg", tmp_path / "empty.jpg"
    text.write_text("not an image")
    empty.write_bytes(b"")
    assert refused(str(text)) == "not_an_image"
    assert refused(str(empty)) == "empty_file"
    assert refused(b"") == "empty_file"
    assert refused(str(tmp_path)) == "not_an_image"
    assert refused(str(tmp_path / "none.png")) == "file_missing"
    assert refused("a\0b") == "unreadable"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_truncated_files_are_refused(format):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, format)
    whole = out.getvalue()
    assert load_image(whole).pixels.shape == (200, 200, 3)
    assert refused(whole[: len(whole) // 2]) in ("truncated_image", "not_an_image")


def test_too_large_and_too_small():
    out = io.BytesIO()
    Image.new("1", (20_000, MAX_PIXELS // 20_000 + 1)).save(out, "PNG")
    assert refused(out.getvalue()) == "image_too_large"
    assert refused(encode_png(RAMP[:20])) == "image_too_small"


def test_file_without_permission(tmp_path):
    path = tmp_path / "locked.png"
    save(path, Image.fromarray(RAMP))
    path.chmod(0)
    if os.name == "posix" and os.geteuid() == 0:
        path = "/proc/self/mem"  # root cannot read its beginning either
    assert refused(str(path)) == "unreadable"
