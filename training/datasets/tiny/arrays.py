"""Tiny data sets of plain arrays: MPII's h5, SPIN's npz, AMASS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.spatial.transform import Rotation

from training.datasets.tiny.people import bodies, save


def write_mpii(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` people, the first without ankles, then one without labels."""
    people = bodies(count + 1, seed)
    part = np.array([p.joints2d("mpii16") for p in people])
    part[0, [0, 5]] = 0
    part[count, 1:] = 0
    boxes = [p.box() for p in people]
    with h5py.File(folder / "train.h5", "w") as out:
        out["center"] = np.array([(b[:2] + b[2:]) / 2 for b in boxes])
        out["scale"] = np.array([1.2 * (b[2:] - b[:2]).max() / 200 for b in boxes])
        out["part"] = part
        out["imgname"] = np.array([f"{p.index:09d}.jpg".encode() for p in people])
    for person in people:
        save(folder / "images" / f"{person.index:09d}.jpg", person.jpeg())
    return {"kind": "mpii", "path": str(folder / "train.h5"), "images": str(folder / "images")}


def write_spin(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """As mpi_inf_3dhp_train.npz: pelvis-relative 3D; the last person has no fit."""
    people = bodies(count, seed)
    names = [f"images/S1/Seq1/frame_{p.index:06d}.jpg" for p in people]
    joints = np.array([p.joints3d("metro24") - p.joints3d("metro24")[14] for p in people])
    boxes = np.array([p.box() for p in people])
    one = np.ones((count, 24, 1))
    np.savez(
        folder / "mpi_inf_3dhp_train.npz", imgname=names, center=boxes.reshape(-1, 2, 2).mean(1),
        scale=1.2 * (boxes[:, 2:] - boxes[:, :2]).max(1) / 200,
        part=np.concatenate([[p.joints2d("metro24") for p in people], one], 2),
        openpose=np.concatenate([[p.joints2d("openpose25") for p in people], one[:, :1].repeat(25, 1)], 2),
        S=np.concatenate([joints, one], 2), pose=[p.pose for p in people], shape=[p.betas for p in people],
        has_smpl=np.arange(count) < count - 1,
    )  # fmt: skip
    for name, person in zip(names, people, strict=True):
        save(folder / name, person.jpeg())
    return {"kind": "spin", "path": str(folder / "mpi_inf_3dhp_train.npz"), "images": str(folder), "body": "open"}


def capture_poses(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Upright poses (count, 156) of SMPL-H in a world with z up, fingers bent, and betas (16,)."""
    poses = np.zeros((count, 156))
    for person in bodies(count, seed):
        poses[person.index, :66] = person.pose[:66]
        upright = Rotation.from_euler("x", 90, degrees=True) * Rotation.from_euler("y", 50 * person.index, degrees=True)
        poses[person.index, :3] = upright.as_rotvec()
        poses[person.index, 66:] = 0.4
    return poses, np.concatenate([bodies(1, seed)[0].betas, np.full(6, 0.1)])


def write_amass(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """One motion of CMU with `count` sampled frames, and one of another subset."""
    poses, betas = capture_poses(count, seed)
    for name, step in (("CMU/01/01_01", 60), ("EKUT/300/walk", 5)):
        frames = np.repeat(poses, step, 0)[: step * (count - 1) + 1]
        file = folder / f"{name}_poses.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            file, poses=frames, trans=np.zeros((len(frames), 3)), betas=betas, dmpls=np.zeros((len(frames), 8)),
            gender="male", mocap_framerate=120.0,
        )  # fmt: skip
    return {"kind": "amass", "path": str(folder), "body": "open"}
