# SPDX-License-Identifier: GPL-3.0-or-later
"""The chosen clip and its job file.  bpy is only read here."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

import bpy

from .. import runtime
from ..errors import UserError
from . import clip_camera, clip_edits, json_file, properties

JOB_FILE = "job.json"
FOLDER = "recover_mesh"  # next to the .blend


def clip_path(settings: properties.RecoverMeshClipSettings) -> str:
    """Absolute path of the chosen clip; empty if none is chosen."""
    if settings.movie_clip is not None:
        return bpy.path.abspath(settings.movie_clip.filepath)
    return bpy.path.abspath(settings.path) if settings.path else ""


def job_folder(path: str) -> str:
    """Folder of a clip's journal and results: next to the saved .blend, else in the extension's user folder.

    A clip always has the same folder, so that its job can resume.
    """
    base = os.path.dirname(bpy.data.filepath) if bpy.data.filepath else runtime.user_folder()
    stem = re.sub(r"[^\w.-]+", "_", os.path.splitext(os.path.basename(path.rstrip("/\\")))[0]) or "clip"
    digest = hashlib.sha256(os.path.normcase(path).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return os.path.join(base, FOLDER, f"{stem}-{digest}")


def frame_fields(clip: properties.RecoverMeshClipSettings) -> dict[str, Any]:
    """The fields of the job file that select frames: first and last from 0, both included, and step."""
    return {
        "first": clip.first - 1 if clip.use_range else 0,
        "last": clip.last - 1 if clip.use_range else None,
        "step": clip.step,
    }


def people_are_current(clip: properties.RecoverMeshClipSettings) -> bool:
    """Whether the listed people belong to the chosen clip and frames."""
    return clip_edits.matches_job(clip, {"source": clip_path(clip), **frame_fields(clip)})


def job_fields(settings: properties.RecoverMeshSettings, scene: bpy.types.Scene) -> dict[str, Any]:
    """The content of the job file.  Raises UserError."""
    clip = settings.clip
    path = clip_path(clip)
    if not path:
        raise UserError("No clip is chosen.", "Choose a video or an image sequence.")
    if not os.path.exists(path):
        raise UserError(f"There is no file {path}.", "Choose the clip again.")
    if clip.use_range and clip.last < clip.first:
        raise UserError(f"The range ends at frame {clip.last}, before it begins at {clip.first}.", "Correct the range.")
    rate = scene.render.fps / scene.render.fps_base
    fields: dict[str, Any] = {
        "source": path,
        "out": job_folder(path),
        "model": settings.model or properties.DEFAULT_MODEL[0],
        **frame_fields(clip),
        "fps": f"{round(rate * 1001)}/1001",  # used for image sequences, which have no frame rate
        "focal_px": clip.focal,
        "people": properties.people_argument(settings),
        "smoothing": clip.smoothing,
        "foot_lock": clip.foot_lock,
        "height_m": clip.height,
        "scene_scale": clip.scene_scale if clip.camera_kind == "SCENE" else 0.0,
    }
    clip_camera.selected_camera(clip, scene)
    if people_are_current(clip):
        if clip.edits:
            fields["edits"] = clip_edits.edit_rows(clip)
        if any(not person.use for person in clip.people):
            fields["keep"] = [person.id for person in clip.people if person.use]
            if not fields["keep"]:
                raise UserError("No person is ticked.", "Tick at least one person.")
    return fields


def write_job(fields: dict[str, Any]) -> str:
    """Write the job file into the job's folder; returns its path.  Raises UserError."""
    path = os.path.join(fields["out"], JOB_FILE)
    json_file.write(path, {"recover_mesh": "clip", "version": 1, **fields}, "job file")
    return path
