# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds a clip in the scene from the npz files that `recover-mesh recover CLIP` writes."""

from __future__ import annotations

import os
from collections.abc import Sequence

import bpy
import numpy as np

from ..errors import UserError
from ..protocol_rows import CAMERA_ROWS, PERSON_FILE, rows_of_file
from . import moving_camera
from .clip import ClipScene
from .footage import ClipInfo
from .records import Body, check_name, load_npz


def is_clip(path: str) -> bool:
    """Whether a result file belongs to a clip, not to a photo."""
    return "world_rotation" in load_npz(path)


def build(
    scene: bpy.types.Scene, paths: Sequence[str], body: Body, *, start: int = 1, with_correctives: bool = True
) -> ClipScene:
    """The scene of one clip, built from its people's files.  start: scene frame of its frame 0.  Raises UserError."""
    people = [_load(path) for path in paths]
    if not people:
        raise UserError("No result was given.", "Choose at least one .npz file.")
    first = people[0]
    moving = all(name in first for name in CAMERA_ROWS)
    shared = ("camera", "image_size", "body", "world_rotation", "world_translation")
    for path, data in zip(paths, people, strict=True):
        if any(not np.array_equal(data[name], first[name]) for name in shared):
            raise UserError(
                f"{os.path.basename(path)} belongs to another clip than the first file.",
                "Import the people of one clip at a time.",
            )
    check_name(str(first["body"]), body)
    width, height = (int(n) for n in first["image_size"])
    fx, fy, cx, cy = (float(n) for n in first["camera"])
    frames = first["frames"]
    step = int(frames[1] - frames[0]) if len(frames) > 1 else 1
    info = ClipInfo(
        source=str(first.get("source", "")),
        job=os.path.dirname(os.path.abspath(paths[0])),
        size=(width, height),
        camera=(fx, fy, cx, cy),
        fps=float(first["mocap_framerate"]) * step,
        frames=int(max(data["frames"].max() for data in people)) + 1,
        notice=str(first.get("notice", "")),
        start=start,
        moving=moving,
        **{name: str(first[name]) for name in ("model", "body", "license")},
    )
    scale = float(first.get("scene_scale", 1.0))
    world = [*first["world_rotation"].ravel().tolist(), *first["world_translation"].tolist()]
    clip = ClipScene(scene, info, body, with_correctives=with_correctives)
    for data in people:
        rows = rows_of_file(data)
        track_id = int(data["person"])
        rows["person"] = np.full(len(rows["frames"]), track_id)
        rows["people"], rows["betas"] = np.array([track_id]), data["betas"][None]
        clip.add(rows, True, world, scale)
    clip.finish()
    if moving:
        collection: bpy.types.Collection | None = bpy.data.collections.get(clip.collection)
        if collection is not None:
            moving_camera.create(scene, collection, info, people, scale)
    return clip


def _load(path: str) -> dict[str, np.ndarray]:
    """The arrays of one person's file.  Raises UserError."""
    data = load_npz(path)
    missing = [name for name, entry in PERSON_FILE.items() if entry.required and name not in data]
    if missing:
        raise UserError(
            f"{os.path.basename(path)} is not a clip's result (it lacks {', '.join(missing)}).",
            "Choose an .npz file that `recover-mesh recover` wrote for a clip.",
        )
    return data
