"""Forward kinematics of a body's landmarks, and the Jacobian by every parameter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.body.landmarks import Landmarks, body_landmarks
from backend.body.model import BodyModel
from backend.geometry.rotations_numpy import exp


@dataclass(frozen=True)
class State:
    """Parameters of B bodies.  An update is R <- R exp(d) for each joint, which has no singularity at any angle."""

    rotations: np.ndarray  # (B, J, 3, 3) parent-relative; joint 0 rotates into the camera frame
    betas: np.ndarray  # (B, S)
    trans: np.ndarray  # (B, 3) m

    def __getitem__(self, bodies: slice | np.ndarray) -> State:
        return State(self.rotations[bodies], self.betas[bodies], self.trans[bodies])

    def updated(self, step: np.ndarray) -> State:
        """The state after a step (B, 3 J + S + 3): rotations rad, betas, trans m."""
        count, joints = self.rotations.shape[:2]
        angles, shape = 3 * joints, self.betas.shape[1]
        return State(
            self.rotations @ exp(step[:, :angles].reshape(count, joints, 3)),
            self.betas + step[:, angles : angles + shape],
            self.trans + step[:, angles + shape :],
        )

    def where(self, keep: np.ndarray, other: State) -> State:
        """Per body this state where `keep` (B,), else `other`."""
        return State(
            np.where(keep[:, None, None, None], self.rotations, other.rotations),
            np.where(keep[:, None], self.betas, other.betas),
            np.where(keep[:, None], self.trans, other.trans),
        )


class Skeleton:
    """Joints and landmarks of one body model, float64."""

    def __init__(self, body: BodyModel) -> None:
        self.names = body.joint_names
        self.parents = body.parents
        self.joints = body.joints_template.double().cpu().numpy()  # (J, 3)
        self.joint_directions = body.joints_shapedirs.double().cpu().numpy()  # (J, 3, S)
        self.landmarks: Landmarks = body_landmarks(body)
        heights = body.v_template[:, 1].double().cpu().numpy()
        top, bottom = int(heights.argmax()), int(heights.argmin())
        directions = body.shapedirs[[top, bottom], 1].double().cpu().numpy()
        self.height = float(heights[top] - heights[bottom])  # m, of the unposed body at betas 0
        self.height_directions = directions[0] - directions[1]  # (S,) its change with the betas
        self.size = 3 * len(self.parents) + body.num_betas + 3  # parameters per body
        # influences[k, j]: whether landmark k moves with joint j
        self.influences = np.zeros((len(self.landmarks.joint), len(self.parents)), bool)
        for k, j in enumerate(self.landmarks.joint):
            while j >= 0:
                self.influences[k, j] = True
                j = self.parents[j]
        self.levels = self._levels()
        self.pairs = np.nonzero(self.influences)  # (landmarks, joints that move them), P of them
        self.active = np.nonzero(self.influences.any(0))[0]  # joints that move any landmark

    def _levels(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(joints, their parents) of each depth of the kinematic tree below the root: each is one matrix product."""
        depth = np.zeros(len(self.parents), int)
        for j in range(1, len(self.parents)):
            depth[j] = depth[self.parents[j]] + 1
        levels = [np.nonzero(depth == d)[0] for d in range(1, depth.max() + 1)]
        return [(level, self.parents[level]) for level in levels]

    def forward(self, state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """-> global rotations (B, J, 3, 3), joints (B, J, 3) and landmarks (B, K, 3), camera frame, m."""
        rest = self.joints + np.einsum("jcs,bs->bjc", self.joint_directions, state.betas)
        rotations = np.empty_like(state.rotations)
        joints = np.empty_like(rest)
        rotations[:, 0], joints[:, 0] = state.rotations[:, 0], rest[:, 0] + state.trans
        for level, parents in self.levels:
            rotations[:, level] = rotations[:, parents] @ state.rotations[:, level]
            offset = (rest[:, level] - rest[:, parents])[..., None]
            joints[:, level] = joints[:, parents] + (rotations[:, parents] @ offset)[..., 0]
        on = self.landmarks
        points = on.rest + np.einsum("kcs,bs->bkc", on.directions, state.betas)
        lever_arms = (rotations[:, on.joint] @ (points - rest[:, on.joint])[..., None])[..., 0]
        return rotations, joints, joints[:, on.joint] + lever_arms

    def pose_jacobian(self, rotations: np.ndarray, joints: np.ndarray, points: np.ndarray) -> np.ndarray:
        """d landmarks / d (rotations of the `active` joints, trans), (B, K, 3, 3 A + 3).  Arguments: `forward`'s."""
        count, active = len(rotations), self.active
        out = np.zeros((count, points.shape[1], 3, 3 * len(active) + 3))
        self._rotation_jacobian(
            out[..., :-3].reshape(count, points.shape[1], 3, -1, 3), rotations, joints, points, active
        )
        out[..., -3:] = np.eye(3)
        return out

    def _rotation_jacobian(
        self, out: np.ndarray, rotations: np.ndarray, joints: np.ndarray, points: np.ndarray, of: np.ndarray
    ) -> None:
        """Write d landmarks / d rotations of the joints `of` into zeros (B, K, 3, len(of), 3): axis x lever arm."""
        landmark, joint = self.pairs
        x, y, z = np.moveaxis(points[:, landmark] - joints[:, joint], -1, 0)[..., None]  # (B, P, 1)
        axes = rotations[:, joint]  # columns are the joints' axes in the camera frame
        a, b, c = axes[:, :, 0], axes[:, :, 1], axes[:, :, 2]
        column = np.searchsorted(of, joint)
        out[:, landmark, 0, column] = b * z - c * y
        out[:, landmark, 1, column] = c * x - a * z
        out[:, landmark, 2, column] = a * y - b * x

    def jacobian(self, rotations: np.ndarray, joints: np.ndarray, points: np.ndarray) -> np.ndarray:
        """d landmarks / d parameters (rotations, betas, trans), (B, K, 3, size).  Arguments: `forward`'s."""
        count, on = len(rotations), self.landmarks
        by_rotations = np.zeros((count, len(on.joint), 3, len(self.parents), 3))
        self._rotation_jacobian(by_rotations, rotations, joints, points, np.arange(len(self.parents)))
        by_rotations = by_rotations.reshape(count, len(on.joint), 3, -1)
        by_betas = np.empty((count, *self.joint_directions.shape))
        by_betas[:, 0] = self.joint_directions[0]
        for level, parents in self.levels:
            step = self.joint_directions[level] - self.joint_directions[parents]
            by_betas[:, level] = by_betas[:, parents] + rotations[:, parents] @ step
        local = on.directions - self.joint_directions[on.joint]
        points_by_betas = by_betas[:, on.joint] + rotations[:, on.joint] @ local
        by_trans = np.broadcast_to(np.eye(3), (count, len(on.joint), 3, 3))
        return np.concatenate([by_rotations, points_by_betas, by_trans], -1)
