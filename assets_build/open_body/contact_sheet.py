"""`python -m assets_build.open_body.contact_sheet OUT.png`: the body in extreme poses, without and with correctives."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import torch

from backend.body.joint_sets import SMPL24
from backend.body.loader import load_body
from backend.export.overlay import side_view, write_image

_POSES: dict[str, dict[str, tuple[float, float, float]]] = {
    "rest": {},
    "arms down": {"left_shoulder": (0, 0, -1.25), "right_shoulder": (0, 0, 1.25)},
    "elbows": {
        "left_shoulder": (0, 0, -1.0), "right_shoulder": (0, 0, 1.0),
        "left_elbow": (0, -2.1, 0), "right_elbow": (0, 2.1, 0),
    },
    "seated": {
        "left_hip": (-1.5, 0, 0.1), "right_hip": (-1.5, 0, -0.1), "left_knee": (1.5, 0, 0), "right_knee": (1.5, 0, 0),
        "left_shoulder": (0, 0, -1.2), "right_shoulder": (0, 0, 1.2),
    },
    "squat": {
        "left_hip": (-2.0, 0, 0.3), "right_hip": (-2.0, 0, -0.3), "left_knee": (2.3, 0, 0), "right_knee": (2.3, 0, 0),
        "left_ankle": (-0.4, 0, 0), "right_ankle": (-0.4, 0, 0),
        "left_shoulder": (0, -1.2, 0), "right_shoulder": (0, 1.2, 0),
    },
    "run": {
        "left_hip": (-1.1, 0, 0), "left_knee": (1.6, 0, 0), "right_hip": (0.5, 0, 0), "right_knee": (0.9, 0, 0),
        "left_shoulder": (0, 0.6, -1.2), "right_shoulder": (0, 0.6, 1.2), "left_elbow": (0, -1.6, 0),
        "right_elbow": (0, 1.6, 0), "spine2": (0.15, 0, 0),
    },
    "arms up": {"left_shoulder": (0, 0, 1.3), "right_shoulder": (0, 0, -1.3),
        "left_collar": (0, 0, 0.4), "right_collar": (0, 0, -0.4)},
}  # fmt: skip


def contact_sheet(size: int = 360) -> np.ndarray:
    """uint8 RGB, a column per pose; rows: front without correctives, front with, three-quarter view with."""
    body = load_body("open")
    poses = torch.zeros(len(_POSES), 24, 3)
    for k, joints in enumerate(_POSES.values()):
        for name, angles in joints.items():
            poses[k, SMPL24.index(name)] = torch.tensor(angles)
    poses[:, 0, 0] = math.pi  # y up -> the camera's y down
    betas = torch.zeros(len(poses), body.num_betas)
    plain = load_body("open")
    plain.posedirs.zero_()
    with torch.inference_mode():
        with_correctives = body(poses, betas).vertices.numpy()
        without = plain(poses, betas).vertices.numpy()
    faces = body.faces.numpy()
    rows = [(without, -0.5), (with_correctives, -0.5), (with_correctives, 0.8)]
    return np.concatenate(
        [np.concatenate([side_view([v], faces, size=size, yaw=yaw) for v in bodies], 1) for bodies, yaw in rows],
        0,
    )


if __name__ == "__main__":
    write_image(Path(sys.argv[1]), contact_sheet())
