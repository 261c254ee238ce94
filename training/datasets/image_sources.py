"""Image sources of records: files on disk, frames of a video.  Decoded by OpenCV, as in the originals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.errors import BadInput
from training.datasets.validation import bad_row, require


def decode(data: bytes, file: str | Path, row: object) -> np.ndarray:
    """Pixels, uint8 RGB (H, W, 3), of a JPEG or PNG.  Raises BadInput `bad_data_row`."""
    import cv2  # here, so that the list of required files does not import it

    # imdecode would apply the EXIF rotation, but annotations are of the stored image
    as_stored = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), as_stored) if data else None
    if pixels is None:
        raise bad_row(file, row, "the image cannot be decoded (empty, cut off or not a JPEG or PNG)")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


@dataclass(frozen=True)
class ImageFile:
    """An image file."""

    path: Path

    def read(self) -> np.ndarray:
        """uint8 RGB (H, W, 3)."""
        try:
            data = require(self.path, "Check the image folder in the run's file.").read_bytes()
        except OSError as error:
            raise BadInput("data_missing", f"{self.path} cannot be read ({error.strerror}).") from None
        return decode(data, self.path, "-")

    def exists(self) -> bool:
        return self.path.is_file()


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a short clip, by its index; decodes the clip up to it."""

    path: Path
    index: int

    def read(self) -> np.ndarray:
        """uint8 RGB (H, W, 3)."""
        import av

        require(self.path)
        try:
            with av.open(str(self.path)) as container:
                for k, frame in enumerate(container.decode(video=0)):
                    if k == self.index:
                        return frame.to_ndarray(format="rgb24")
        except av.FFmpegError as error:
            raise bad_row(self.path, self.index, f"the clip cannot be decoded ({error})") from None
        raise bad_row(self.path, self.index, "the clip has fewer frames than its annotation")

    def exists(self) -> bool:
        return self.path.is_file()
