"""2D poses from the user's file, .npy or .json, for networks that lift poses to 3D."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import BadInput
from backend.structures import DetectedPerson

_MAX_PEOPLE = 64
_HINT = (
    "Give a .npy of (joints, 2 or 3) or (people, joints, 2 or 3) in pixels, or a .json of "
    '{"picture.jpg": [[[x, y, score], …], …]}.'
)
# From Pose2Mesh's demo: smallest sum of scores; mean distance of duplicates, over joints with a score above _SURE
_MIN_SCORES = 1.5
_SAME_PX = 20.0
_SURE = 0.1


@dataclass(frozen=True)
class KeypointFile:
    """The 2D poses in a user's file.  poses: per image name ("": any image) the people (P, J, 3): x px, y px, score."""

    name: str
    poses: dict[str, np.ndarray]

    def people(self, image_name: str, keypoint_set: str) -> list[DetectedPerson]:
        """The people of an image, by its path, file name or stem.  Raises BadInput `no_keypoints`."""
        for key in ("", image_name, Path(image_name).name, Path(image_name).stem):
            if key in self.poses:
                return [_person(pose, keypoint_set) for pose in self.poses[key]]
        raise BadInput(
            "no_keypoints",
            f"{self.name} has no keypoints of {Path(image_name).name or 'this image'}.",
            f"It has those of {', '.join(list(self.poses)[:5])}.",
        )


def read_keypoints(path: Path, joints: tuple[int, ...]) -> KeypointFile:
    """The poses in a file.  joints: numbers of joints that are accepted.  A missing score becomes 1.

    Raises BadInput `file_missing`, `not_keypoints`.
    """
    if not path.is_file():
        raise BadInput("file_missing", f"There is no file {path}.", _HINT)
    try:
        if path.suffix.lower() == ".json":
            content = json.loads(path.read_text("utf-8"))
        else:
            content = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _wrong(path, f"it cannot be read: {error}") from None
    if isinstance(content, dict):
        several = {str(image_name): _poses(path, people, joints) for image_name, people in content.items()}
        return KeypointFile(path.name, {name: _sensible(found) for name, found in several.items()})
    return KeypointFile(path.name, {"": _poses(path, content, joints)})


def _poses(path: Path, value: Any, joints: tuple[int, ...]) -> np.ndarray:
    try:
        poses = np.asarray(value, np.float64)
    except (ValueError, TypeError):
        raise _wrong(path, "its lists are not of equal length") from None
    if poses.size == 0:
        return np.zeros((0, joints[0], 3))
    if poses.ndim == 2:
        poses = poses[None]
    if poses.ndim != 3 or poses.shape[1] not in joints or poses.shape[2] not in (2, 3) or len(poses) > _MAX_PEOPLE:
        raise _wrong(path, f"its shape is {np.asarray(value).shape}, expected {' or '.join(map(str, joints))} joints")
    if not np.isfinite(poses).all():
        raise _wrong(path, "it has values that are not finite")
    if poses.shape[2] == 2:
        poses = np.concatenate([poses, np.ones((*poses.shape[:2], 1))], 2)
    return poses


def _sensible(poses: np.ndarray) -> np.ndarray:
    """The poses without those of low score and without duplicates."""
    kept: list[np.ndarray] = []
    for pose in poses:
        if pose[:, 2].sum() < _MIN_SCORES:
            continue
        both = [(pose[:, 2] > _SURE) & (other[:, 2] > _SURE) for other in kept]
        gaps = [
            np.abs(pose[sure, :2] - other[sure, :2]).mean() if sure.any() else np.inf
            for sure, other in zip(both, kept, strict=True)
        ]
        if min(gaps, default=np.inf) >= _SAME_PX:
            kept.append(pose)
    return np.array(kept).reshape(-1, *poses.shape[1:])


def _person(pose: np.ndarray, keypoint_set: str) -> DetectedPerson:
    if keypoint_set == "coco" and len(pose) == 17:
        keypoint_set = "coco17"
    low, high = pose[:, :2].min(0), pose[:, :2].max(0)
    return DetectedPerson(
        box=np.concatenate([low, high]).astype(np.float32),
        score=float(np.clip(pose[:, 2].mean(), 0, 1)),
        keypoints2d=pose.astype(np.float32),
        keypoints3d=np.zeros((len(pose), 3), np.float32),  # unknown
        keypoint_set=keypoint_set,
    )


def _wrong(path: Path, reason: str) -> BadInput:
    return BadInput("not_keypoints", f"{path.name} has no usable keypoints ({reason}).", _HINT)
