"""The final motions of a clip on disk: one npz per person, and what they were made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from backend.atomic import atomic_path
from backend.errors import RecoverMeshError
from backend.export.npz import read_npz
from backend.geometry.camera_path import View
from backend.structures import Camera, Motion, World

_INDEX = "result.json"


def motion_fields(
    motion: Motion, world: World, camera: Camera, fps: Fraction, labels: dict[str, str]
) -> dict[str, np.ndarray]:
    """The arrays of one person of one clip, as `backend.export.npz.person_fields`, with T rows, and besides

    filled (T,): the pose is made up from before and after · hidden (T,): filled, and unseen for too long to be shown ·
    contacts (T, 2): left, right foot stands ·
    reprojection_px (T,) · world_rotation (3, 3), world_translation (3,) m: camera frame to world, z up, ground z = 0 ·
    person (): id.  labels: model, body, license, source, notice.

    Where the camera moves, trans, joints and the root's turns are in one common frame of all rows instead (x right,
    y down, z ahead, ground y = 0, m), and there are camera_rotation (T, 3, 3) and camera_translation (T, 3): common
    frame to each row's camera, camera_intrinsics (T, 4) fx fy cx cy px, and scene_scale (): units per metre of the
    scene that the camera belongs to.
    """
    moving: dict[str, np.ndarray] = {}
    if motion.view is not None:
        view = motion.view
        moving = {
            "camera_rotation": view.rotation.astype(np.float64),
            "camera_translation": view.translation.astype(np.float64),
            "camera_intrinsics": np.concatenate([view.focal, view.center], 1).astype(np.float64),
            "scene_scale": np.array(float(world.scale)),
        }
    step = int(motion.frames[1] - motion.frames[0]) if len(motion.frames) > 1 else 1
    return {
        "poses": motion.poses.reshape(len(motion.poses), -1).astype(np.float32),
        "betas": motion.betas.astype(np.float32),
        "trans": motion.trans.astype(np.float32),
        "mocap_framerate": np.array(float(fps / step)),
        "gender": np.array("neutral"),
        "joints": motion.joints.astype(np.float32),
        "frames": motion.frames.astype(np.int64),
        "keypoints2d": motion.keypoints2d.astype(np.float32),
        "camera": np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float64),
        "image_size": np.array([camera.width, camera.height], np.int64),
        "confidence": motion.confidence.astype(np.float32),
        "filled": motion.filled.astype(bool),
        "hidden": motion.hidden.astype(bool),
        "contacts": motion.contacts.astype(bool),
        "reprojection_px": motion.reprojection_px.astype(np.float32),
        "world_rotation": world.rotation.astype(np.float64),
        "world_translation": world.translation.astype(np.float64),
        "person": np.array(motion.id),
        "mirrored": np.array(False),
        **moving,
        **{name: np.array(text) for name, text in labels.items()},
    }


def motion_of(fields: dict[str, np.ndarray]) -> tuple[Motion, World]:
    """Back from `motion_fields`."""
    count = len(fields["poses"])
    view = None
    if "camera_rotation" in fields:
        intrinsics = fields["camera_intrinsics"]
        view = View(
            fields["camera_rotation"], fields["camera_translation"], intrinsics[:, :2], intrinsics[:, 2:]
        )
    motion = Motion(
        int(fields["person"]),
        fields["frames"],
        fields["poses"].reshape(count, -1, 3),
        fields["betas"],
        fields["trans"],
        fields["joints"],
        fields["confidence"],
        fields["filled"],
        fields.get("hidden", np.zeros(count, bool)),  # files of before there was such a thing
        fields["contacts"],
        fields["reprojection_px"],
        fields["keypoints2d"],
        view,
    )
    scale = float(fields.get("scene_scale", 1.0))
    return motion, World(fields["world_rotation"], fields["world_translation"], scale)


class Results:
    """`personN.npz` and `result.json` in the job's folder.  What an unfinished or another job left does not count."""

    def __init__(self, out: Path, key: str) -> None:
        """key: of everything that the motions depend on."""
        self.out = out
        self._key = key

    @property
    def _index(self) -> Path:
        return self.out / _INDEX

    def _content(self) -> dict[str, Any] | None:
        try:
            content = json.loads(self._index.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) and content.get("key") == self._key else None

    @property
    def done(self) -> bool:
        """The job was finished with these settings, and its files are there."""
        content = self._content()
        return content is not None and all((self.out / name).is_file() for name in content["files"])

    def files(self) -> list[Path]:
        """The npz files of the people."""
        content = self._content()
        return [] if content is None else [self.out / name for name in content["files"]]

    def read(self) -> tuple[list[Motion], World] | None:
        """What an earlier run wrote, None where it is not there or damaged."""
        if not self.done:
            return None
        try:
            pairs = [motion_of(read_npz(path)) for path in self.files()]
        except (RecoverMeshError, KeyError, ValueError):
            return None
        return [motion for motion, _ in pairs], pairs[0][1] if pairs else World()

    def forget(self) -> None:
        """What is there does not count any more."""
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
        """Replace what was there.  Raises RecoverMeshError `disk_full`, `unwritable`; then nothing counts as done."""
        former = self._former()
        self._index.unlink(missing_ok=True)
        files = []
        for motion in motions:
            path = self.out / f"person{motion.id}.npz"
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, **motion_fields(motion, world, camera, fps, labels))  # type: ignore[arg-type]
            files.append(path.name)
        content = {"key": self._key, "files": files, "fps": str(fps), "lost": list(lost), **labels}
        with atomic_path(self._index) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for name in former - set(files):  # people of the run before who are nobody now
            (self.out / name).unlink(missing_ok=True)

    def _former(self) -> set[str]:
        try:
            files = json.loads(self._index.read_text(encoding="utf-8"))["files"]
            return {name for name in files if Path(name).name == name and name.endswith(".npz")}
        except (OSError, ValueError, KeyError, TypeError):
            return set()
