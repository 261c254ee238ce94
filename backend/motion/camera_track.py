"""A camera solved by a match-moving tool: its pose and intrinsics in every frame of a clip, read from a JSON file.

    {"recover_mesh": "camera", "version": 1,
     "frames": [0, 1, ...],                      frames of the clip, ascending, counted from 0
     "rotation": [[9 numbers, row by row], ...], camera frame (OpenCV's axes) -> world (z up, ground z = 0)
     "position": [[x, y, z], ...],               in the world, scene units
     "intrinsics": [[fx, fy, cx, cy], ...],      px of the upright frame, pixel centres at integers
     "image_size": [width, height]}              of the frame that they refer to; optional

Frames between the given ones are interpolated.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import BadInput
from backend.geometry import rotations_numpy as rot
from backend.geometry.camera_path import View
from backend.structures import Camera, World

VERSION = 1
MAX_BYTES = 256 << 20
MAX_FRAMES = 1_000_000
# Guards against broken files, not tuned
_MAX_DISTANCE = 1e7  # scene units
_MAX_ROTATION_ERROR = 2e-3  # largest element of R R^T - I: tools write few digits
_HELD_FRAMES = 2  # frames after the last one that repeat it: decoders disagree on a clip's last frames
_KNOWN = {"recover_mesh", "version", "frames", "rotation", "position", "intrinsics", "image_size"}


@dataclass(frozen=True)
class CameraTrack:
    """Solved camera in N frames of the clip."""

    frames: np.ndarray  # (N,) int64, ascending
    rotation: np.ndarray  # (N, 3, 3) camera frame -> world
    position: np.ndarray  # (N, 3) scene units
    intrinsics: np.ndarray  # (N, 4) fx fy cx cy px
    image_size: tuple[int, int] | None = None

    @classmethod
    def load(cls, path: Path) -> CameraTrack:
        """The track in a file.  Raises BadInput `bad_camera`, `file_missing`."""
        try:
            if path.stat().st_size > MAX_BYTES:
                raise _bad(f"it has more than {MAX_BYTES >> 20} MiB", path)
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            hint = "Write it again, or choose a fixed camera."
            raise BadInput("file_missing", f"There is no camera file {path}.", hint) from None
        except (OSError, ValueError, RecursionError) as error:
            raise _bad(f"it cannot be read ({str(error)[:200]})", path) from None
        return cls.from_content(content, path)

    @classmethod
    def from_content(cls, content: Any, path: Path | None = None) -> CameraTrack:
        """The track in a parsed file.  Raises BadInput `bad_camera`."""
        if not isinstance(content, dict) or content.get("recover_mesh") != "camera":
            raise _bad('it is not a JSON object with "recover_mesh": "camera"', path)
        version = content.get("version")
        if type(version) is not int or version != VERSION:
            raise _bad(f"its version is {str(version)[:20]}, expected {VERSION}", path)
        unknown = sorted(str(name)[:40] for name in set(content) - _KNOWN)
        if unknown:
            raise _bad(f"it has an unknown entry {unknown[0]}", path)
        frames = content.get("frames")
        if not isinstance(frames, list) or not frames or any(type(n) is not int for n in frames):
            raise _bad("frames is not a list of whole numbers", path)
        if len(frames) > MAX_FRAMES or not 0 <= frames[0] <= frames[-1] < 2**31:
            raise _bad(f"frames are not 1 to {MAX_FRAMES} numbers from 0 on", path)
        if any(b <= a for a, b in itertools.pairwise(frames)):
            raise _bad("frames do not ascend, or come twice", path)
        count = len(frames)
        rotation = _numbers(content, "rotation", count, 9, path).reshape(-1, 3, 3)
        position = _numbers(content, "position", count, 3, path)
        intrinsics = _numbers(content, "intrinsics", count, 4, path)
        wrong = np.abs(rotation @ np.swapaxes(rotation, 1, 2) - np.eye(3)).max((1, 2)) > _MAX_ROTATION_ERROR
        wrong |= np.linalg.det(rotation) <= 0
        if wrong.any():
            raise _bad(f"the rotation of frame {frames[int(wrong.argmax())]} is not a rotation", path)
        if np.abs(position).max() > _MAX_DISTANCE:
            raise _bad(f"a position is farther than {_MAX_DISTANCE:g} units from the origin", path)
        if (intrinsics[:, :2] < 1).any() or np.abs(intrinsics).max() > 1e6:
            raise _bad("fx and fy are not from 1 to 1,000,000 px, or cx and cy are farther away than that", path)
        u, _, vt = np.linalg.svd(rotation)
        return cls(np.array(frames, np.int64), u @ vt, position, intrinsics, _size(content.get("image_size"), path))

    @property
    def digest(self) -> str:
        """Hash of the values: independent of the file's place and formatting."""
        size = np.array(self.image_size or (0, 0))
        parts = (self.frames, self.rotation, self.position, self.intrinsics, size)
        return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in parts)).hexdigest()[:16]

    def fitted(self, width: int, height: int, first: int, last: int) -> CameraTrack:
        """The track for a clip of this size, px, with intrinsics scaled where it was solved on a proxy.

        first, last: frames that are needed.  Raises BadInput `bad_camera` where some are missing or the aspect differs.
        """
        if first < self.frames[0] or last > self.frames[-1] + _HELD_FRAMES:
            raise BadInput(
                "bad_camera",
                f"The camera is solved for frames {self.frames[0]} to {self.frames[-1]} of the clip, "
                f"needed are {first} to {last} (the first is 0).",
                "Solve it for the whole range, or recover only the frames that it has.",
            )
        if self.image_size is None or self.image_size == (width, height):
            return self
        wide, high = width / self.image_size[0], height / self.image_size[1]
        if abs(wide / high - 1) > 0.01:
            raise BadInput(
                "bad_camera",
                f"The camera is for images of {self.image_size[0]} x {self.image_size[1]} px, "
                f"the clip has {width} x {height}.",
                "Solve the camera on the clip that is recovered.",
            )
        k = self.intrinsics
        scaled = np.stack(
            [k[:, 0] * wide, k[:, 1] * high, (k[:, 2] + 0.5) * wide - 0.5, (k[:, 3] + 0.5) * high - 0.5], 1
        )
        return replace(self, intrinsics=scaled, image_size=(width, height))

    def view(self, frames: np.ndarray, scale: float = 1.0) -> View:
        """Camera path of T frames of the clip, interpolated.  scale: scene units per metre."""
        frames = np.clip(np.asarray(frames, float), self.frames[0], self.frames[-1])
        after = np.clip(np.searchsorted(self.frames, frames), 0, len(self.frames) - 1)
        before = np.where(self.frames[after] == frames, after, np.maximum(after - 1, 0))
        span = np.maximum(self.frames[after] - self.frames[before], 1)
        part = ((frames - self.frames[before]) / span)[:, None]

        def between(values: np.ndarray) -> np.ndarray:
            return values[before] + (values[after] - values[before]) * part

        a, b = self.rotation[before], self.rotation[after]
        to_world = a @ rot.exp(rot.log(np.swapaxes(a, 1, 2) @ b) * part)
        axes = World().rotation  # common frame -> world
        to_camera = np.swapaxes(to_world, 1, 2) @ axes
        position = between(self.position) / scale @ axes
        intrinsics = between(self.intrinsics)
        return View(to_camera, -(to_camera @ position[..., None])[..., 0], intrinsics[:, :2], intrinsics[:, 2:])

    def typical(self, width: int, height: int) -> Camera:
        """Camera with the mean intrinsics, for code that takes one camera per clip."""
        fx, fy, cx, cy = self.intrinsics.mean(0).tolist()
        return Camera(fx, fy, cx, cy, width, height)


def _numbers(content: dict[str, Any], name: str, count: int, width: int, path: Path | None) -> np.ndarray:
    rows = content.get(name)
    if not isinstance(rows, list) or len(rows) != count:
        have = len(rows) if isinstance(rows, list) else 0
        raise _bad(f"{name} has {have} rows for {count} frames", path)
    for row in rows:
        if not isinstance(row, list) or len(row) != width or any(type(v) not in (int, float) for v in row):
            raise _bad(f"a row of {name} is not {width} numbers", path)
    try:
        values = np.array(rows, float)
    except OverflowError:
        values = np.full(1, np.inf)
    if not np.isfinite(values).all():
        raise _bad(f"{name} has a number that is not finite", path)
    return values


def _size(value: Any, path: Path | None) -> tuple[int, int] | None:
    if value is None:
        return None
    whole = isinstance(value, list) and len(value) == 2 and all(type(n) is int for n in value)
    if not whole or min(value) < 1 or max(value) > 100_000:
        raise _bad("image_size is not [width, height] in px", path)
    return value[0], value[1]


def _bad(why: str, path: Path | None) -> BadInput:
    name = "The camera" if path is None else f"The camera file {path}"
    return BadInput("bad_camera", f"{name} cannot be used: {why}.", "Correct it, or choose a fixed camera.")
