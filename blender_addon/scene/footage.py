# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip's footage in the scene: its properties, frame rate, and background image."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import bpy

from . import camera
from .records import Photo


@dataclass(frozen=True)
class ClipInfo:
    """Properties of a clip and its start in the scene.

    start: frame of the scene that shows the clip's frame 0.  job: folder of the job; a re-run of it replaces its
    earlier result.  moving: a camera of the scene filmed the clip: none is created, and the result is in its world.
    """

    source: str
    job: str
    size: tuple[int, int]
    camera: tuple[float, float, float, float]
    fps: float
    frames: int
    model: str
    body: str
    license: str
    notice: str = ""
    start: int = 1
    moving: bool = False

    @classmethod
    def from_wire(cls, header: Mapping[str, Any], start: int) -> ClipInfo:
        """From the protocol's `clip`."""
        fx, fy, cx, cy, width, height = header["camera"]
        return cls(
            job=header["out"],
            size=(int(width), int(height)),
            camera=(fx, fy, cx, cy),
            fps=header["fps"][0] / header["fps"][1],
            start=start,
            moving=header.get("moving", False),
            **{name: header[name] for name in ("source", "frames", "model", "body", "license", "notice")},
        )

    @property
    def title(self) -> str:
        return os.path.splitext(os.path.basename(self.source.rstrip("/\\")))[0] or "Clip"

    def as_photo(self) -> Photo:
        """A photo with the clip's camera and provenance, and without people."""
        return Photo(self.source, self.size, self.camera, self.model, self.body, self.license, [], None, self.notice)


def scene_rate(scene: bpy.types.Scene) -> float:
    """Frames per second of a scene."""
    return scene.render.fps / scene.render.fps_base


def set_rate(scene: bpy.types.Scene, fps: float) -> None:
    """Set the frame rate, which Blender stores as an integer over a base (30000/1001 is 30 over 1.001)."""
    whole = max(round(fps), 1)
    scene.render.fps, scene.render.fps_base = whole, whole / fps


def first_image(path: str) -> str:
    """The file that Blender opens for a clip: of a folder of images the first."""
    if not os.path.isdir(path):
        return path
    endings = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
    files = sorted(name for name in os.listdir(path) if name.lower().endswith(endings))
    return os.path.join(path, files[0]) if files else path


def set_background(data: bpy.types.Camera, info: ClipInfo) -> str:
    """Show the clip behind the scene; returns a warning for the user, or ""."""
    path = first_image(bpy.path.abspath(info.source))
    try:
        movie = bpy.data.movieclips.load(path, check_existing=True)
    except RuntimeError as error:
        return f"Blender cannot show the clip behind the scene ({error})."
    movie.frame_start = info.start
    background = camera.new_background(data)
    background.source = "MOVIE_CLIP"
    background.clip = movie
    size = tuple(movie.size)
    if size != info.size and size == info.size[::-1]:
        return "The clip is stored rotated by 90° and Blender shows it so; the bodies are upright."
    return ""
