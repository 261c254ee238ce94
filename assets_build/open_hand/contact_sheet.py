"""`python -m assets_build.open_hand.contact_sheet OUT.png`: the open hand in several poses, both sides."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from assets_build.open_hand.poses import NAMED, named_pose
from backend.body.loader import load_body
from backend.export.overlay import side_view, write_image

_SPACING = 0.24  # m between hands
_LEAN = 0.45  # rad, view from a little to the thumb's side


def contact_sheet(width: int = 1600) -> np.ndarray:
    """uint8 RGB, a column per pose; rows: back of the right hand, its palm, back of the left hand."""
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    for row, (name, palm) in enumerate((("open_hand", False), ("open_hand", True), ("open_hand_left", False))):
        for column, points in enumerate(_posed(name)):
            # fingers up; the image's x is right, y down, z away from the viewer
            sign = 1.0 if name == "open_hand" else -1.0
            facing = -1.0 if palm else 1.0
            view = np.array([[0, 0, -sign * facing], [sign, 0, 0], [0, -facing, 0]])
            vertices.append(points @ view.T @ _about_y(-_LEAN * sign).T)
            vertices[-1] += [column * _SPACING, row * _SPACING, 0]
            faces.append(load_body(name).faces.numpy() + len(points) * len(faces))
    image = side_view([np.concatenate(vertices)], np.concatenate(faces), size=width, yaw=0.0)
    used = np.nonzero((np.ptp(image.astype(int), axis=1) > 8).any(1))[0]
    return image[max(used[0] - 30, 0) : used[-1] + 30]


def _posed(name: str) -> np.ndarray:
    """(poses, 778, 3) m: vertices of NAMED poses."""
    hand, rest = load_body(name), load_body("open_hand").joints_template.numpy()
    poses = torch.tensor(np.stack([named_pose(pose, rest) for pose in NAMED]), dtype=torch.float32)
    if name.endswith("_left"):
        poses = poses * torch.tensor([1.0, -1.0, -1.0])
    with torch.inference_mode():
        return hand(poses, torch.zeros(len(poses), hand.num_betas)).vertices.double().numpy()


def _about_y(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


if __name__ == "__main__":
    write_image(Path(sys.argv[1]), contact_sheet())
