"""The small lifter: a detector's 2D and 3D keypoints -> clean 3D joints and landmarks, taught by procedural poses.

PoseNet of Pose2Mesh (Choi et al. 2020), narrower, with the detector's own 3D guess beside the 2D pose.  Where that
guess is absent (zeros and a flag) it lifts from 2D alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from backend.models.pose2mesh import ResidualLinear

LANDMARKS, JOINTS = 33, 24
INPUTS = LANDMARKS * 6 + 1


class Lifter(nn.Module):
    """features (N, 199) as `features` makes them -> (N, 57, 3) m: 24 joints relative to the pelvis joint, then 33
    landmarks relative to the middle of the hips; camera axes."""

    def __init__(self, width: int = 512, stages: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        # the best straight line is known in closed form: the network learns only what is left
        self.straight = nn.Linear(INPUTS, 3 * (JOINTS + LANDMARKS))
        self.w1 = nn.Linear(INPUTS, width)
        self.linear_stages = nn.ModuleList(ResidualLinear(width, dropout) for _ in range(stages))
        self.w2 = nn.Linear(width, 3 * (JOINTS + LANDMARKS))

    def forward(self, values: Tensor) -> Tensor:
        x = self.w1(values)
        for stage in self.linear_stages:
            x = stage(x)
        return (self.straight(values) + self.w2(x)).unflatten(1, (-1, 3))

    @torch.no_grad()
    def start_straight(self, values: Tensor, targets: Tensor) -> None:
        """Set the straight part by ridge regression from values (N, 199) to targets (N, 57, 3), and the rest to 0."""
        x = torch.cat([values, torch.ones(len(values), 1)], 1).double()
        normal = x.T @ x + 1e-3 * len(x) * torch.eye(x.shape[1], dtype=torch.float64)
        solution = torch.linalg.solve(normal, x.T @ targets.flatten(1).double()).float()
        self.straight.weight.copy_(solution[:-1].T)
        self.straight.bias.copy_(solution[-1])
        nn.init.zeros_(self.w2.weight)
        nn.init.zeros_(self.w2.bias)


def features(keypoints: np.ndarray, world: np.ndarray | None) -> np.ndarray:
    """keypoints (n, 33, 3) px and visibility, world (n, 33, 3) m or None -> (n, 199) float32.

    2D is centred on what is visible and divided by its spread; what is not visible counts little and is pulled in.
    """
    seen = np.clip((keypoints[..., 2] - 0.1) / 0.4, 0.02, 1)[..., None]
    share = seen / seen.sum(1, keepdims=True)
    flat = keypoints[..., :2] - (keypoints[..., :2] * share).sum(1, keepdims=True)
    spread = np.sqrt((flat**2 * share).sum((1, 2), keepdims=True))
    flat = np.clip(flat / np.maximum(spread, 1e-3), -4, 4)
    count = len(flat)
    given = np.zeros((count, LANDMARKS, 3)) if world is None else np.clip(world, -2, 2) * 2
    flag = np.full((count, 1), 0.0 if world is None else 1.0)
    columns = [flat.reshape(count, -1), seen.reshape(count, -1) - 0.8, given.reshape(count, -1), flag]
    return np.concatenate(columns, 1).astype(np.float32)


@torch.inference_mode()
def lift(model: Lifter, keypoints: np.ndarray, world: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """-> joints (n, 24, 3) and landmarks (n, 33, 3), m."""
    out = model(torch.from_numpy(features(keypoints, world))).numpy()
    return out[:, :JOINTS], out[:, JOINTS:]
