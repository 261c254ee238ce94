"""Motions in AMASS's format: in the world, z up, for tools that read AMASS.

Mahmood et al., AMASS: Archive of Motion Capture as Surface Shapes, ICCV 2019.  Fields of a `*_poses.npz`: poses
(T, 156) axis-angle of SMPL-H (root, 21 body joints, 30 finger joints), trans (T, 3) m, betas (16,), dmpls (T, 8),
gender, mocap_framerate Hz.  Ours have three more, which other tools ignore: body and license, because betas belong to
one body model; hands (T, 6), SMPL's two hand joints.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.errors import BadInput
from backend.export.npz import write_arrays
from backend.geometry import rotations_numpy as rot
from backend.structures import Motion, World

BODY_COLUMNS = 66  # the root and 21 body joints, which SMPL and SMPL-H share; SMPL-H lacks SMPL's two hand joints
COLUMNS = 156
BETAS = 16
DMPLS = 8


def world_motion(motion: Motion, world: World, root_joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Poses (T, J, 3) rad and trans (T, 3) m in the world.

    root_joint: (3,) m, of the rest pose with the motion's betas: skinning rotates the body about it.
    """
    poses = np.array(motion.poses, np.float64)
    poses[:, 0] = rot.log(world.rotation @ rot.exp(poses[:, 0]))
    return poses, world.points(np.asarray(motion.trans, np.float64) + root_joint) - root_joint


def amass_fields(
    motion: Motion,
    world: World,
    root_joint: np.ndarray,
    framerate: float,
    *,
    body: str = "",
    license: str = "",
) -> dict[str, np.ndarray]:
    """The arrays of one person, with fingers in the rest pose.

    root_joint: as in `world_motion`.  framerate: Hz.  body, license: of the body model that the betas belong to.
    Raises BadInput `no_amass` for bodies without SMPL's joints.
    """
    if motion.poses.shape[1] != 24:
        raise BadInput(
            "no_amass",
            f"AMASS needs SMPL's 24 joints, this body has {motion.poses.shape[1]}.",
            "Export npz instead.",
        )
    poses, trans = world_motion(motion, world, root_joint)
    wide = np.zeros((len(poses), COLUMNS), np.float64)
    wide[:, :BODY_COLUMNS] = poses.reshape(len(poses), -1)[:, :BODY_COLUMNS]
    betas = np.zeros(BETAS)
    betas[: len(motion.betas)] = motion.betas[:BETAS]
    return {
        "poses": wide,
        "trans": trans,
        "betas": betas,
        "dmpls": np.zeros((len(poses), DMPLS)),
        "gender": np.array("neutral"),
        "mocap_framerate": np.array(framerate),
        "body": np.array(body),
        "license": np.array(license),
        "hands": poses.reshape(len(poses), -1)[:, BODY_COLUMNS:],
    }


def write_amass(
    path: Path,
    motion: Motion,
    world: World,
    root_joint: np.ndarray,
    framerate: float,
    *,
    body: str = "",
    license: str = "",
) -> None:
    """Write `amass_fields` atomically.  Raises RecoverMeshError `disk_full`, `unwritable`."""
    write_arrays(path, amass_fields(motion, world, root_joint, framerate, body=body, license=license))
