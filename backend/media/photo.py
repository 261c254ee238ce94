"""Photos: any file that Pillow reads -> upright 8-bit RGB and the focal length from EXIF."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from backend.errors import BadInput

MAX_PIXELS = 200_000_000
MIN_SIDE = 32  # px; too small for any detection
ORIENTATION = 0x112
_BACKGROUND = (255, 255, 255)  # behind transparent pixels
_FILM_MM = 36.0  # width of the 35 mm film that FocalLengthIn35mmFilm refers to
_UNITS_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # FocalPlaneResolutionUnit

# MAX_PIXELS and its message replace Pillow's warning at 89 megapixels and error at 179
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class LoadedImage:
    """A photo in memory.

    pixels: uint8 RGB (H, W, 3), upright.  focal_px: focal length in pixels of that image; None where EXIF has none.

    needs_reencoding: Blender, which ignores orientation, colour model and depth, would show the file differently.
    """

    pixels: np.ndarray
    focal_px: float | None
    needs_reencoding: bool


def load_image(source: str | Path | bytes) -> LoadedImage:
    """The photo of a path or of an encoded file's bytes.

    Orientation is applied, 16-bit and float are scaled to 8 bits, CMYK and palettes converted, transparent pixels
    composed over white; of an animation the first frame is read.  Raises BadInput: file_missing, unreadable,
    empty_file, not_an_image, truncated_image, image_too_large, image_too_small.
    """
    name = "The image" if isinstance(source, bytes) else Path(source).name
    data = source if isinstance(source, bytes) else _read(Path(source))
    if not data:
        raise BadInput("empty_file", f"{name} is empty (zero bytes).", "Copy or export the photo again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # broken EXIF is common and harmless
            image = Image.open(io.BytesIO(data))
            _check_size(image.size, name)
            image.load()
            return _convert(image)
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise BadInput("not_an_image", f"{name} is not an image that can be read.", "Use a JPEG or PNG file.") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise BadInput(
            "truncated_image", f"{name} is cut off or damaged ({error}).", "Copy or download the photo again."
        ) from None
    except MemoryError:
        raise BadInput("image_too_large", f"{name} does not fit into memory.", "Use a smaller copy.") from None


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 RGB (H, W, 3) -> the bytes of a PNG file."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BadInput("file_missing", f"There is no file {path}.", "Check the name, or choose it again.") from None
    except IsADirectoryError:
        raise BadInput("not_an_image", f"{path} is a folder.", "Choose the photos in it.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput("unreadable", f"{path} cannot be read ({reason}).", "Check its permissions.") from None


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise BadInput(
            "image_too_large",
            f"{name} has {width * height / 1e6:.0f} megapixels, at most {MAX_PIXELS / 1e6:.0f} are read.",
            "Use a smaller copy.",
        )
    if min(size) < MIN_SIDE:
        raise BadInput(
            "image_too_small",
            f"{name} has {width} x {height} pixels, at least {MIN_SIDE} a side are needed.",
            "Use a larger copy.",
        )


def _convert(image: Image.Image) -> LoadedImage:
    exif = image.getexif()
    rotated = exif.get(ORIENTATION, 1) not in (0, 1)
    needs_reencoding = rotated or image.mode not in ("RGB", "L")
    upright = ImageOps.exif_transpose(image) if rotated else image
    pixels = np.asarray(_to_rgb(upright))
    return LoadedImage(pixels, _focal_px(exif, max(upright.size)), needs_reencoding)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        background = Image.new("RGBA", rgba.size, (*_BACKGROUND, 255))
        return Image.alpha_composite(background, rgba).convert("RGB")
    return image.convert("RGB")


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """uint8 image.  Integers are 16-bit; floats are 0..1, or 0..their maximum where that exceeds 1."""
    if values.dtype.kind == "f":
        finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        scale = 255.0 / max(1.0, float(finite.max()))
    else:
        finite, scale = values, 255.0 / 65535.0
    return np.clip(finite * scale + 0.5, 0, 255).astype(np.uint8)


def _focal_px(exif: Image.Exif, long_side: int) -> float | None:
    """Focal length in pixels of an image with this long side; None where EXIF lacks the tags.

    FocalLengthIn35mmFilm refers to film 36 mm wide on its long side.  Without it, FocalLength (mm) times the sensor's
    pixels per mm, scaled by the image's size over the sensor's.
    """
    tags = exif.get_ifd(ExifTags.IFD.Exif)

    def number(tag: int) -> float:
        try:
            value = float(tags.get(tag, 0) or 0)
        except (TypeError, ValueError, ZeroDivisionError):
            return 0.0
        return value if np.isfinite(value) and value > 0 else 0.0

    in_35mm = number(ExifTags.Base.FocalLengthIn35mmFilm)
    if in_35mm:
        return in_35mm / _FILM_MM * long_side
    unit = _UNITS_MM.get(int(number(ExifTags.Base.FocalPlaneResolutionUnit)) or 2)
    focal, per_unit = number(ExifTags.Base.FocalLength), number(ExifTags.Base.FocalPlaneXResolution)
    sensor_pixels = number(ExifTags.Base.ExifImageWidth)
    if not (unit and focal and per_unit and sensor_pixels):
        return None
    resized = long_side / max(sensor_pixels, number(ExifTags.Base.ExifImageHeight))
    return focal * per_unit / unit * resized
