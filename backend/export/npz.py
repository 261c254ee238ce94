"""One npz per input and person, with AMASS's field names, so that existing tools read it.  Never pickled."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from backend.atomic import atomic_path
from backend.errors import BadInput
from backend.structures import FrameResult, RecoveredPerson

# Hz; a photo has no frame rate, but some tools divide by it
STILL_FRAMERATE = 30.0
REQUIRED = (
    "poses", "betas", "trans", "mocap_framerate", "gender", "joints", "frames", "keypoints2d",
    "camera", "image_size", "confidence", "model", "body", "license",
)  # fmt: skip


def person_fields(result: FrameResult, person: RecoveredPerson) -> dict[str, np.ndarray]:
    """The arrays of one person of one photo (T = 1).

    poses (T, 72) axis-angle rad, parent-relative, SMPL joint order; the root's rotates into the camera frame ·
    betas (10,) · trans (T, 3) m, added after skinning · joints (T, 24, 3) m · confidence (T, 24) 0..1 ·
    keypoints2d (T, K, 3) x px, y px, visibility · frames (T,) frame numbers in the source · mocap_framerate Hz ·
    camera (4,) fx fy cx cy px · image_size (2,) width height px · reprojection_px () mean error ·
    mirrored (): a left hand, of the body mirrored in x · gender, model, body, license, source: texts.
    Frame of trans and joints: the camera's (x right, y down, z forward).
    """
    camera = result.camera
    return {
        "poses": np.asarray(person.poses, np.float32).reshape(1, -1),
        "betas": np.asarray(person.betas, np.float32),
        "trans": np.asarray(person.trans, np.float32).reshape(1, 3),
        "mocap_framerate": np.array(STILL_FRAMERATE),
        "gender": np.array("neutral"),
        "joints": np.asarray(person.joints, np.float32)[None],
        "frames": np.zeros(1, np.int64),
        "keypoints2d": np.asarray(person.keypoints2d, np.float32)[None],
        "camera": np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float64),
        "image_size": np.array([camera.width, camera.height], np.int64),
        "confidence": np.asarray(person.confidence, np.float32)[None],
        "model": np.array(result.model),
        "body": np.array(result.body),
        "license": np.array(result.license),
        "source": np.array(result.source),
        "reprojection_px": np.array(person.reprojection_px, np.float32),
        "mirrored": np.array(person.mirrored),
    }


def write_npz(path: Path, result: FrameResult, person: RecoveredPerson) -> None:
    """Write `person_fields` to `path`.  Raises RecoverMeshError `disk_full`, `unwritable`."""
    write_arrays(path, person_fields(result, person))


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a compressed npz atomically.  Raises RecoverMeshError `disk_full`, `unwritable`."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file of `write_npz`, texts as 0-d arrays.  Raises BadInput `bad_npz` for any other file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            fields = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        # the last two: a lone .npy loads as an array, which is not a context manager
        raise _unreadable(path, str(error)) from error
    missing = [name for name in REQUIRED if name not in fields]
    if missing:
        raise _unreadable(path, f"it lacks {', '.join(missing)}")
    return fields


def _unreadable(path: Path, why: str) -> BadInput:
    return BadInput(
        "bad_npz",
        f"{path} is not a result of Recover Mesh ({why}).",
        "Give an npz that `recover-mesh recover` has written.",
    )
