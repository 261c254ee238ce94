"""The least-squares problem of a batch of people: residual blocks with analytic derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.body.keypoint_fit.observations import Observations
from backend.body.keypoint_fit.priors import LIMIT_STIFFNESS, joint_priors, unseen_stiffness
from backend.body.kinematics import Skeleton, State
from backend.body.landmarks import BONE_FROM, BONE_TO, BONE_WEIGHTS, FEET, TRUNK, WEIGHTS
from backend.geometry import rotations_numpy as rot

# Weights of residuals.  Origin of the numbers: not recorded, except where a comment gives one.
IMAGE_WEIGHT = 40.0  # of a reprojection error as large as the person
SHAPE_WEIGHT = 0.5  # per beta
BALANCE_WEIGHT = 10.0  # per metre of the trunk before or behind the feet
UPRIGHT_WEIGHT = 0.3  # of the trunk's axis: most people stand, and lean less than one image suggests
UPRIGHT_WEIGHT_NO_HIPS = 3.0
OUTLIER = 0.06  # of the person's size: reprojection error at which the robust weight is 1/4
MIN_DEPTH = 0.1  # m
GUIDE_STIFFNESS = 2.0  # per rad between a joint and its guide; set on the ten people in docs/results.md's photos


@dataclass(frozen=True)
class Weights:
    """Weights of one stage of the fit."""

    directions: float  # of the bone directions
    prior: float  # of the pose prior
    trust: np.ndarray  # (B, K) robust weights, 1 or less for outliers


class Problem:
    """Residuals (B, M) and their Jacobian (B, M, parameters)."""

    def __init__(
        self,
        skeleton: Skeleton,
        observed: Observations,
        *,
        unseen: float = 1.0,
        guide: np.ndarray | None = None,
        guided: np.ndarray | None = None,
    ) -> None:
        """unseen: factor of the prior on joints without visible landmarks; below 1 where smoothness holds them too.
        guide: (B, J, 3, 3) parent-relative rotations from a network; joints `guided` (B, J) stay near them."""
        self.skeleton, self.observed = skeleton, observed
        rest, self._stiffness, self._low, self._high = joint_priors(skeleton.names)
        self._unseen = unseen * unseen_stiffness(skeleton.names, self._stiffness)
        self._rest_inverse = np.swapaxes(rot.exp(rest), -1, -2)
        # the weight of the most visible landmark that the joint moves
        influences = skeleton.influences[None] * observed.seen[:, :, None]
        self.joint_seen = influences.max(1)  # (B, J)
        hips = [k for k, j in enumerate(skeleton.landmarks.joint) if j == 0]
        hips_seen = observed.seen[:, hips].mean(1)
        self._upright = UPRIGHT_WEIGHT + unseen * (1 - hips_seen) * (UPRIGHT_WEIGHT_NO_HIPS - UPRIGHT_WEIGHT)
        self._bone_weights = BONE_WEIGHTS * observed.bone_confidence
        self._guided = guided
        if guide is not None and guided is not None:
            self._rest_inverse = np.where(guided[..., None, None], np.swapaxes(guide, -1, -2), self._rest_inverse)

    def residuals(self, state: State, weights: Weights, derive: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
        """-> residuals (B, M), Jacobian (B, M, parameters) or None without `derive`."""
        rotations, joints, points = self.skeleton.forward(state)
        point_jacobian = self.skeleton.jacobian(rotations, joints, points) if derive else None
        blocks = [
            self._reprojection_residual(points, point_jacobian, weights),
            self._bone_direction_residual(points, point_jacobian, weights),
            self._per_joint_block(derive, *self._rest_residual(state, weights)),
            self._per_joint_block(derive, *self._limit_residual(state)),
            self._shape_prior(state, derive),
            self._upright_residual(state, derive),
            self._balance(points, point_jacobian),
        ]
        values = np.concatenate([value for value, _ in blocks], 1)
        if not derive:
            return values, None
        return values, np.concatenate([jacobian for _, jacobian in blocks if jacobian is not None], 1)

    def pose_normal(self, state: State, weights: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """-> normal matrix (B, D, D), descent (B, D), cost (B,) for rotations of the `active` joints and trans.

        Equal to those of `residuals`, but faster: priors of single joints are added to their 3 x 3 blocks directly.
        """
        rotations, joints, points = self.skeleton.forward(state)
        point_jacobian = self.skeleton.pose_jacobian(rotations, joints, points)
        dense = [
            self._reprojection_residual(points, point_jacobian, weights),
            self._bone_direction_residual(points, point_jacobian, weights),
            self._balance(points, point_jacobian),
        ]
        values = np.concatenate([value for value, _ in dense], 1)
        jacobian = np.concatenate([part for _, part in dense if part is not None], 1)
        transposed = np.swapaxes(jacobian, 1, 2)
        blocks = transposed @ jacobian
        descent = -(transposed @ values[..., None])[..., 0]
        cost = (values**2).sum(1) + ((state.betas * SHAPE_WEIGHT) ** 2).sum(1)
        active = self.skeleton.active
        on_joints = np.zeros((len(cost), len(active), 3, 3))
        by_joints = np.zeros((len(cost), len(active), 3))
        for value, angles, weight in (self._rest_residual(state, weights), self._limit_residual(state)):
            cost += (value**2).sum((1, 2))
            slope = rot.inverse_right_jacobian(angles[:, active]) * weight[:, active, :, None]
            back = np.swapaxes(slope, -1, -2)
            on_joints += back @ slope
            by_joints -= (back @ value[:, active, :, None])[..., 0]
        upright, by_root = self._upright_root_residual(state)
        cost += (upright**2).sum(1)
        on_joints[:, 0] += np.swapaxes(by_root, 1, 2) @ by_root
        by_joints[:, 0] -= (np.swapaxes(by_root, 1, 2) @ upright[..., None])[..., 0]
        for k in range(len(active)):
            blocks[:, 3 * k : 3 * k + 3, 3 * k : 3 * k + 3] += on_joints[:, k]
        descent[:, :-3] += by_joints.reshape(len(cost), -1)
        return blocks, descent, cost

    def project(self, points: np.ndarray) -> np.ndarray:
        """(B, K, 3) m, in the frame of the observations -> (B, K, 2) px."""
        if self.observed.view is not None:
            return self.observed.view.project(points, MIN_DEPTH)
        depth = np.maximum(points[..., 2:], MIN_DEPTH)
        return points[..., :2] / depth * self.observed.focal + self.observed.center

    def trust(self, state: State) -> np.ndarray:
        """(B, K) robust weights (Geman-McClure): 1 without error, 1/4 at OUTLIER of the person's size."""
        _, _, points = self.skeleton.forward(state)
        error = np.linalg.norm(self.project(points) - self.observed.uv, axis=-1) / self.observed.size[:, None]
        return 1 / (1 + (error / OUTLIER) ** 2) ** 2

    # ---- blocks: each -> (B, m) and (B, m, parameters) or None ------------------------------------------

    def _reprojection_residual(self, points, point_jacobian, weights):
        seen = self.observed
        scale = IMAGE_WEIGHT / seen.size[:, None] * np.sqrt(seen.seen * weights.trust) * WEIGHTS
        value = (self.project(points) - seen.uv) * scale[..., None]
        if point_jacobian is None:
            return value.reshape(len(value), -1), None
        focal = seen.focal
        if seen.view is not None:
            points, focal = seen.view.points(points), seen.view.focal[:, None]
            point_jacobian = seen.view.rotation[:, None] @ point_jacobian
        depth = np.maximum(points[..., 2], MIN_DEPTH)
        flat = points[..., :2] / depth[..., None]
        projection_jacobian = np.zeros((*points.shape[:2], 2, 3))
        projection_jacobian[..., 0, 0] = projection_jacobian[..., 1, 1] = 1.0
        projection_jacobian[..., 2] = -flat * (points[..., 2:] > MIN_DEPTH)
        projection_jacobian *= (focal[..., None] / depth[..., None, None]) * scale[..., None, None]
        return value.reshape(len(value), -1), (projection_jacobian @ point_jacobian).reshape(
            len(value), -1, point_jacobian.shape[-1]
        )

    def _bone_direction_residual(self, points, point_jacobian, weights):
        span = points[:, BONE_TO] - points[:, BONE_FROM]
        length = np.linalg.norm(span, axis=-1, keepdims=True) + 1e-9
        unit = span / length
        weight = self._bone_weights * weights.directions
        value = (unit - self.observed.directions) * weight[..., None]
        if point_jacobian is None:
            return value.reshape(len(value), -1), None
        across = (np.eye(3) - unit[..., :, None] * unit[..., None, :]) * (weight[..., None, None] / length[..., None])
        jacobian = across @ (point_jacobian[:, BONE_TO] - point_jacobian[:, BONE_FROM])
        return value.reshape(len(value), -1), jacobian.reshape(len(value), -1, point_jacobian.shape[-1])

    def _rest_residual(self, state, weights):
        """Distance to the rest pose or the guide -> residual, its angles and their weight, (B, J, 3) each."""
        seen = self.joint_seen[..., None]
        stiffness = seen * self._stiffness * weights.prior + (1 - seen) * self._unseen
        if self._guided is not None:
            stiffness = np.where(self._guided[..., None], GUIDE_STIFFNESS, stiffness)
        stiffness[:, 0] = 0
        angles = rot.log(self._rest_inverse @ state.rotations)
        return angles * stiffness, angles, stiffness

    def _limit_residual(self, state):
        """As `_rest_residual`, of the angles beyond the joints' limits."""
        angles = rot.log(state.rotations)
        beyond = np.minimum(angles - self._low, 0) + np.maximum(angles - self._high, 0)
        active = (beyond != 0) * LIMIT_STIFFNESS
        return beyond * active, angles, active

    def _per_joint_block(self, derive, value, angles, weight):
        """A residual of each joint's three angles; its Jacobian is block diagonal."""
        count, joints = value.shape[:2]
        flat = value.reshape(count, -1)
        if not derive:
            return flat, None
        jacobian = np.zeros((count, joints, 3, self.skeleton.size))
        rotation_jacobian = rot.inverse_right_jacobian(angles)
        for j in range(joints):
            jacobian[:, j, :, 3 * j : 3 * j + 3] = rotation_jacobian[:, j] * weight[:, j, :, None]
        return flat, jacobian.reshape(count, 3 * joints, -1)

    def _shape_prior(self, state, derive):
        count, shape = state.betas.shape
        if not derive:
            return state.betas * SHAPE_WEIGHT, None
        jacobian = np.zeros((count, shape, self.skeleton.size))
        jacobian[:, :, -3 - shape : -3] = np.eye(shape) * SHAPE_WEIGHT
        return state.betas * SHAPE_WEIGHT, jacobian

    def _balance(self, points, point_jacobian):
        """Distance of the middle of hips and shoulders to that of the feet, in depth along the ground."""
        depth = self.observed.forward_axis * (BALANCE_WEIGHT * self.observed.balance)[:, None]
        value = ((points[:, TRUNK].mean(1) - points[:, FEET].mean(1)) * depth).sum(1)[:, None]
        if point_jacobian is None:
            return value, None
        return value, depth[:, None] @ (point_jacobian[:, TRUNK].mean(1) - point_jacobian[:, FEET].mean(1))

    def _upright_residual(self, state, derive):
        """Difference of the body's up axis and `up`."""
        value, by_root = self._upright_root_residual(state)
        if not derive:
            return value, None
        jacobian = np.zeros((len(value), 3, self.skeleton.size))
        jacobian[:, :, :3] = by_root
        return value, jacobian

    def _upright_root_residual(self, state):
        """-> residual (B, 3), its derivative by the root's rotation (B, 3, 3)."""
        root = state.rotations[:, 0]
        value = (root[..., 1] - self.observed.up) * self._upright[:, None]
        return value, -root @ rot.skew(np.array([0.0, 1.0, 0.0])) * self._upright[:, None, None]
