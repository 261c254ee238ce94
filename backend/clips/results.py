"""The final motions of a clip on disk: one npz per person, and an index."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from backend.atomic import atomic_path
from backend.errors import RecoverMeshError
from backend.export.npz import read_npz, write_arrays
from backend.geometry.camera_path import View
from backend.protocol_rows import CAMERA_ROWS, PERSON_FILE, ROWS, rows_of_file
from backend.structures import Camera, Motion, World

_INDEX = "result.json"


def motion_fields(
    motion: Motion, world: World, camera: Camera, fps: Fraction, labels: dict[str, str]
) -> dict[str, np.ndarray]:
    """The arrays of one person of one clip, as `protocol_rows.PERSON_FILE` lists them.

    labels: model, body, license, source, notice.  With a moving camera, trans, joints and the global orientation are in
    the common frame (x right, y down, z forward, ground y = 0, m), and the camera of each row is included.
    """
    step = int(motion.frames[1] - motion.frames[0]) if len(motion.frames) > 1 else 1
    values: dict[str, Any] = {name: getattr(motion, name) for name in ROWS}
    values["poses"] = motion.poses.reshape(len(motion.poses), -1)
    values |= {
        "betas": motion.betas,
        "mocap_framerate": float(fps / step),
        "gender": "neutral",
        "joints": motion.joints,
        "keypoints2d": motion.keypoints2d,
        "camera": [camera.fx, camera.fy, camera.cx, camera.cy],
        "image_size": [camera.width, camera.height],
        "world_rotation": world.rotation,
        "world_translation": world.translation,
        "person": motion.id,
        "mirrored": False,
        **labels,
    }
    if motion.view is not None:
        view = motion.view
        values |= {
            "camera_rotation": view.rotation,
            "camera_translation": view.translation,
            "camera_intrinsics": np.concatenate([view.focal, view.center], 1),
            "scene_scale": float(world.scale),
        }
    return {name: entry.array(values[name]) for name, entry in PERSON_FILE.items() if name in values}


def motion_from_fields(fields: dict[str, np.ndarray]) -> tuple[Motion, World]:
    """The motion and world that `motion_fields` got.  Raises KeyError where an array is missing."""
    view = None
    if "camera_rotation" in fields:
        rotation, translation, intrinsics = (fields[name] for name in CAMERA_ROWS)
        view = View(rotation, translation, intrinsics[:, :2], intrinsics[:, 2:])
    motion = Motion(
        id=int(fields["person"]),
        betas=fields["betas"],
        joints=fields["joints"],
        keypoints2d=fields["keypoints2d"],
        view=view,
        **rows_of_file(fields),
    )
    scale = float(fields.get("scene_scale", 1.0))
    return motion, World(fields["world_rotation"], fields["world_translation"], scale)


class Results:
    """`personN.npz` and `result.json` in the job's folder.  Files of an unfinished or of another job are ignored."""

    def __init__(self, out: Path, key: str) -> None:
        """key: digest of all that the motions depend on."""
        self.out, self._index, self._key = out, out / _INDEX, key

    def _content(self) -> dict[str, Any] | None:
        try:
            content = json.loads(self._index.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) and content.get("key") == self._key else None

    @property
    def done(self) -> bool:
        """Whether the job was finished with these settings, and its files are there."""
        content = self._content()
        return content is not None and all((self.out / name).is_file() for name in content["files"])

    def files(self) -> list[Path]:
        """The npz files of the people."""
        content = self._content()
        return [] if content is None else [self.out / name for name in content["files"]]

    def read(self) -> tuple[list[Motion], World] | None:
        """Motions and world that an earlier run wrote; None where they are missing or damaged."""
        if not self.done:
            return None
        try:
            pairs = [motion_from_fields(read_npz(path)) for path in self.files()]
        except (RecoverMeshError, KeyError, ValueError):
            return None
        return [motion for motion, _ in pairs], pairs[0][1] if pairs else World()

    def forget(self) -> None:
        """Delete the index: the results are not `done` any more."""
        self._index.unlink(missing_ok=True)

    def write(
        self,
        motions: Sequence[Motion],
        world: World,
        camera: Camera,
        fps: Fraction,
        labels: dict[str, str],
        lost: Sequence[str],
    ) -> None:
        """Write the results and delete earlier ones.  Raises RecoverMeshError `disk_full`, `unwritable`: not `done`."""
        earlier = self._earlier_files()
        self._index.unlink(missing_ok=True)
        files = []
        for motion in motions:
            files.append(f"person{motion.id}.npz")
            write_arrays(self.out / files[-1], motion_fields(motion, world, camera, fps, labels))
        content = {"key": self._key, "files": files, "fps": str(fps), "lost": list(lost), **labels}
        with atomic_path(self._index) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for name in earlier - set(files):
            (self.out / name).unlink(missing_ok=True)

    def _earlier_files(self) -> set[str]:
        try:
            files = json.loads(self._index.read_text(encoding="utf-8"))["files"]
            return {name for name in files if Path(name).name == name and name.endswith(".npz")}
        except (OSError, ValueError, KeyError, TypeError):
            return set()
