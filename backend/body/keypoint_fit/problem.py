"""The least-squares problem of one batch of people: residual blocks with their analytic derivatives."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backend.body.keypoint_fit import rotations as rot
from backend.body.keypoint_fit.kinematics import Skeleton, State
from backend.body.keypoint_fit.landmarks import BONE_FROM, BONE_TO, BONE_WEIGHTS, FEET, TRUNK, WEIGHTS
from backend.body.keypoint_fit.priors import LIMIT_STIFFNESS, joint_priors, unseen_stiffness
from backend.body.keypoint_fit.view import View

IMAGE_WEIGHT = 40.0  # of an error as large as the person
SHAPE_WEIGHT = 0.5
BALANCE_WEIGHT = 10.0  # per metre that the trunk stands before or behind the feet
UPRIGHT_WEIGHT = 0.3  # people stand rather than lie, and lean less than one picture suggests
UPRIGHT_WEIGHT_NO_HIPS = 3.0
OUTLIER = 0.06  # of the person's size: an error this large counts half
MIN_DEPTH = 0.1  # m


@dataclass(frozen=True)
class Observations:
    """What was detected, for B people and K landmarks.

    uv (B, K, 2) px; seen (B, K) 0..1, 0 for what is outside the picture or guessed; directions (B, bones, 3) unit,
    camera frame; known (B, bones) 0..1, how well each direction is known;
    balance (B,) 0..1, how surely the trunk is over the feet in depth;
    focal (2,), center (2,) px; size (B,) px, the extent of what is seen.
    view: with it, bodies and directions are in the common frame of a moving camera, and each row is seen as it says.
    """

    uv: np.ndarray
    seen: np.ndarray
    directions: np.ndarray
    known: np.ndarray
    balance: np.ndarray
    focal: np.ndarray
    center: np.ndarray
    size: np.ndarray
    view: View | None = None

    def rows(self, at: slice | np.ndarray) -> Observations:
        """Some of the people."""
        names = ("uv", "seen", "directions", "known", "balance", "size")
        view = None if self.view is None else self.view[at]
        return replace(self, view=view, **{name: getattr(self, name)[at] for name in names})


@dataclass(frozen=True)
class Weights:
    """How much each kind of evidence counts in one stage of the fit.  trust (B, K): 1, less for outliers."""

    directions: float
    prior: float
    trust: np.ndarray


class Problem:
    """Residuals (B, M) and their Jacobian (B, M, parameters)."""

    def __init__(self, skeleton: Skeleton, observed: Observations, *, unseen: float = 1.0) -> None:
        """unseen: how firmly what is not seen rests; less where something else, such as motion, carries it."""
        self.skeleton, self.observed = skeleton, observed
        rest, self._stiffness, self._low, self._high = joint_priors(skeleton.names)
        self._unseen = unseen * unseen_stiffness(skeleton.names, self._stiffness)
        self._rest_inverse = np.swapaxes(rot.exp(rest), -1, -2)
        # a joint is seen as well as the best seen landmark that it moves
        moves = skeleton.moves[None] * observed.seen[:, :, None]
        self.joint_seen = moves.max(1)  # (B, J)
        hips = [k for k, j in enumerate(skeleton.landmarks.joint) if j == 0]
        hips_seen = observed.seen[:, hips].mean(1)
        self._upright = UPRIGHT_WEIGHT + unseen * (1 - hips_seen) * (UPRIGHT_WEIGHT_NO_HIPS - UPRIGHT_WEIGHT)
        self._bone_weights = BONE_WEIGHTS * observed.known

    def residuals(
        self, state: State, weights: Weights, derive: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        turns, joints, points = self.skeleton.forward(state)
        moved = self.skeleton.jacobian(turns, joints, points) if derive else None
        blocks = [
            self._image(points, moved, weights),
            self._bones(points, moved, weights),
            self._pose_prior(state, weights, derive),
            self._limits(state, derive),
            self._shape_prior(state, derive),
            self._stand(state, derive),
            self._balance(points, moved),
        ]
        values = np.concatenate([value for value, _ in blocks], 1)
        if not derive:
            return values, None
        return values, np.concatenate([jacobian for _, jacobian in blocks if jacobian is not None], 1)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(B, K, 3) camera frame, or the common one where there is a view, m -> (B, K, 2) px."""
        if self.observed.view is not None:
            return self.observed.view.project(points, MIN_DEPTH)
        depth = np.maximum(points[..., 2:], MIN_DEPTH)
        return points[..., :2] / depth * self.observed.focal + self.observed.center

    def trust(self, state: State) -> np.ndarray:
        """(B, K) weights that silence outliers (Geman-McClure): 1 at no error, 1/4 at OUTLIER of the person's size."""
        _, _, points = self.skeleton.forward(state)
        error = np.linalg.norm(self.project(points) - self.observed.uv, axis=-1) / self.observed.size[:, None]
        return 1 / (1 + (error / OUTLIER) ** 2) ** 2

    # ---- blocks: each -> (B, m) and (B, m, parameters) or None ------------------------------------------

    def _image(self, points, moved, weights):
        seen = self.observed
        scale = IMAGE_WEIGHT / seen.size[:, None] * np.sqrt(seen.seen * weights.trust) * WEIGHTS
        value = (self.project(points) - seen.uv) * scale[..., None]
        if moved is None:
            return value.reshape(len(value), -1), None
        focal = seen.focal
        if seen.view is not None:
            points, focal = seen.view.points(points), seen.view.focal[:, None]
            moved = seen.view.rotation[:, None] @ moved
        depth = np.maximum(points[..., 2], MIN_DEPTH)
        flat = points[..., :2] / depth[..., None]
        lens = np.zeros((*points.shape[:2], 2, 3))
        lens[..., 0, 0] = lens[..., 1, 1] = 1.0
        lens[..., 2] = -flat * (points[..., 2:] > MIN_DEPTH)
        lens *= (focal[..., None] / depth[..., None, None]) * scale[..., None, None]
        return value.reshape(len(value), -1), (lens @ moved).reshape(len(value), -1, moved.shape[-1])

    def _bones(self, points, moved, weights):
        span = points[:, BONE_TO] - points[:, BONE_FROM]
        length = np.linalg.norm(span, axis=-1, keepdims=True) + 1e-9
        unit = span / length
        weight = self._bone_weights * weights.directions
        value = (unit - self.observed.directions) * weight[..., None]
        if moved is None:
            return value.reshape(len(value), -1), None
        across = (np.eye(3) - unit[..., :, None] * unit[..., None, :]) * (
            weight[..., None, None] / length[..., None]
        )
        jacobian = across @ (moved[:, BONE_TO] - moved[:, BONE_FROM])
        return value.reshape(len(value), -1), jacobian.reshape(len(value), -1, moved.shape[-1])

    def _pose_prior(self, state, weights, derive):
        seen = self.joint_seen[..., None]
        stiffness = seen * self._stiffness * weights.prior + (1 - seen) * self._unseen
        stiffness[:, 0] = 0
        angles = rot.log(self._rest_inverse @ state.rotations)
        return self._by_joint(angles * stiffness, rot.inverse_right_jacobian(angles), stiffness, derive)

    def _limits(self, state, derive):
        angles = rot.log(state.rotations)
        beyond = np.minimum(angles - self._low, 0) + np.maximum(angles - self._high, 0)
        active = (beyond != 0) * LIMIT_STIFFNESS
        return self._by_joint(beyond * active, rot.inverse_right_jacobian(angles), active, derive)

    def _by_joint(self, value, turn_jacobian, weight, derive):
        """A residual of each joint's own three angles: its Jacobian is block diagonal."""
        count, joints = value.shape[:2]
        flat = value.reshape(count, -1)
        if not derive:
            return flat, None
        jacobian = np.zeros((count, joints, 3, self.skeleton.size))
        for j in range(joints):
            jacobian[:, j, :, 3 * j : 3 * j + 3] = turn_jacobian[:, j] * weight[:, j, :, None]
        return flat, jacobian.reshape(count, 3 * joints, -1)

    def _shape_prior(self, state, derive):
        count, shape = state.betas.shape
        if not derive:
            return state.betas * SHAPE_WEIGHT, None
        jacobian = np.zeros((count, shape, self.skeleton.size))
        jacobian[:, :, -3 - shape : -3] = np.eye(shape) * SHAPE_WEIGHT
        return state.betas * SHAPE_WEIGHT, jacobian

    def _balance(self, points, moved):
        """Depth of the middle of hips and shoulders against that of the feet; level depth where up is known."""
        weight = BALANCE_WEIGHT * self.observed.balance[:, None]
        view = self.observed.view
        if view is not None:
            ahead = view.level[:, 2]
            lead = points[:, TRUNK].mean(1) - points[:, FEET].mean(1)
            value = (lead * ahead).sum(1, keepdims=True) * weight
            if moved is None:
                return value, None
            leads = moved[:, TRUNK].mean(1) - moved[:, FEET].mean(1)
            return value, (ahead[:, None] @ leads) * weight[..., None]
        value = (points[:, TRUNK, 2].mean(1) - points[:, FEET, 2].mean(1))[:, None] * weight
        if moved is None:
            return value, None
        return value, (moved[:, TRUNK, 2].mean(1) - moved[:, FEET, 2].mean(1))[:, None] * weight[..., None]

    def _stand(self, state, derive):
        """The body's up against that of the frame: the camera's, right for most photos, or the true one."""
        root = state.rotations[:, 0]
        value = (root[..., 1] - [0.0, -1.0, 0.0]) * self._upright[:, None]
        if not derive:
            return value, None
        jacobian = np.zeros((len(value), 3, self.skeleton.size))
        jacobian[:, :, :3] = -root @ rot.skew(np.array([0.0, 1.0, 0.0])) * self._upright[:, None, None]
        return value, jacobian
