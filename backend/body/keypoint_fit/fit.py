"""The keypoint fit: detected keypoints -> body parameters in the camera frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.body.camera_frames import to_common_frame
from backend.body.keypoint_fit.confidence import joint_confidence
from backend.body.keypoint_fit.observations import Observations, observe, unit
from backend.body.keypoint_fit.priors import joint_priors
from backend.body.keypoint_fit.problem import Problem, Weights
from backend.body.keypoint_fit.solver import minimize
from backend.body.kinematics import Skeleton, State
from backend.body.landmarks import BONE_INDEX, INDEX, SOURCES
from backend.body.model import BodyModel
from backend.errors import BadInput
from backend.geometry import rotations_numpy as rot
from backend.structures import Camera, DetectedPerson
from backend.threads import one_blas_thread

# (weight of the bone directions, weight of the pose prior, iterations) per stage: first the pose in depth, then the
# reprojection.  4.5 was 3.0 until people leaned on the photos of docs/results.md; origin of the others not recorded.
STAGES = ((6.0, 1.0, 8), (4.5, 0.6, 10), (4.5, 0.6, 14))
# A second initial state is tried above this final cost (most photos stay below), and used if its cost is below this
# fraction of the first; origin not recorded
_RETRY_COST = 25.0
_RETRY_FRACTION = 0.97

# The guided fit, set on the ten people in the photos of docs/results.md
GUIDED_SEEN = 0.5  # visibility from which a landmark counts, and joints that move it follow the guide
CUT_LEG = 0.3  # factor of the weight of a thigh's direction where the ankle is not visible
GUIDED_STAGES = ((3.0, 0.6, 8), (3.0, 0.6, 10))


@dataclass(frozen=True)
class KeypointFit:
    """One fitted body; conventions as `RecoveredPerson`."""

    poses: np.ndarray  # (J, 3)
    betas: np.ndarray  # (S,)
    trans: np.ndarray  # (3,)
    confidence: np.ndarray  # (J,)
    reprojection_px: float  # mean over the visible landmarks
    reprojection_relative: float  # the same over the body's height in the image, parts outside the image included


@one_blas_thread()
def fit_keypoints(
    body: BodyModel,
    people: Sequence[DetectedPerson],
    camera: Camera,
    guide: State | None = None,
) -> list[KeypointFit]:
    """The bodies of all people of one image, fitted in one batch.

    guide: bodies from a network; the fit starts from them and stays near them, joint by joint.  Joints without visible
    landmarks are at rest: straight legs, hanging arms.
    Raises BadInput `bad_keypoints` for keypoints that are not 33 finite MediaPipe landmarks, `bad_body` for a body
    without SMPL's 24 joints.
    """
    if not people:
        return []
    if len(body.joint_names) != 24:
        raise BadInput(
            "bad_body",
            f"{body.name} has {len(body.joint_names)} joints, the fit needs SMPL's 24.",
            "Use another body.",
        )
    skeleton = Skeleton(body)
    points = np.stack([person.keypoints2d for person in people])
    world = np.stack([person.keypoints3d for person in people])
    observed = observe(points, world, camera, guided=guide is not None)
    if guide is not None:
        return _fit_guided(skeleton, observed, guide)
    problem = Problem(skeleton, observed)
    standing = initial_state(skeleton, world, observed)
    state, cost = _solve(problem, standing)
    if cost.max() > _RETRY_COST:
        # a squat is not reached from a standing pose: start from a crouching one too, and take the lower cost
        other, other_cost = _solve(problem, _crouching(skeleton, standing))
        legs = [INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("knee", "ankle")]
        visible = observed.seen[:, legs].min(1) > 0.2  # invisible legs stand, see `_straighten_unseen_legs`
        state = other.where(visible & (other_cost < _RETRY_FRACTION * cost), state)
    return _fit_results(skeleton, problem, state)


def _fit_guided(skeleton: Skeleton, observed: Observations, guide: State) -> list[KeypointFit]:
    """The fit near a guide."""
    # the guide is more accurate than landmarks of low visibility
    seen = np.where(observed.seen > GUIDED_SEEN, observed.seen, 0.0)
    follows = (skeleton.influences[None] * seen[..., None]).max(1) > 0
    bone_confidence = observed.bone_confidence.copy()
    for side in ("left", "right"):
        # the guide does not know the direction of a thigh whose leg is cut off by the image either
        cut = seen[:, INDEX[f"{side}_ankle"]] == 0
        follows[cut, skeleton.names.index(f"{side}_hip")] = False
        bone_confidence[cut, BONE_INDEX[f"{side}_hip", f"{side}_knee"]] *= CUT_LEG
    # nor is the trunk held over the feet: with the guide, that would cross the legs of people in side view
    observed = replace(observed, balance=np.zeros_like(observed.balance), seen=seen, bone_confidence=bone_confidence)
    problem = Problem(skeleton, observed, guide=guide.rotations, guided=follows)
    follows[:, 0] = True
    rest = rot.exp(joint_priors(skeleton.names)[0])
    state = State(np.where(follows[..., None, None], guide.rotations, rest), guide.betas, guide.trans)
    trust = np.ones_like(observed.seen)
    for directions, prior, iterations in GUIDED_STAGES:
        state, _ = minimize(problem, state, Weights(directions, prior, trust), iterations)
        trust = problem.trust(state)
    return _fit_results(skeleton, problem, state)


def _solve(problem: Problem, state: State) -> tuple[State, np.ndarray]:
    """-> the state after all stages, and its cost (B,) with the last stage's weights and robust weights of 1."""
    trust = np.ones_like(problem.observed.seen)
    for directions, prior, iterations in STAGES:
        state, _ = minimize(problem, state, Weights(directions, prior, trust), iterations)
        trust = problem.trust(state)
    values, _ = problem.residuals(state, Weights(*STAGES[-1][:2], np.ones_like(trust)), derive=False)
    return state, (values**2).sum(1)


def _crouching(skeleton: Skeleton, standing: State) -> State:
    """The same initial state with hips and knees bent."""
    rotations = standing.rotations.copy()
    for name, angle in (("hip", -1.6), ("knee", 1.9)):  # rad; origin not recorded
        for side in ("left", "right"):
            rotations[:, skeleton.names.index(f"{side}_{name}")] = rot.exp(np.array([angle, 0.0, 0.0]))
    return State(rotations, standing.betas, standing.trans)


def initial_state(skeleton: Skeleton, world: np.ndarray, observed: Observations) -> State:
    """The initial state: global orientation from hips and shoulders in 3D, depth from the sizes in px and in m.

    world: (B, 33, 3) m, the 3D keypoints.  All other joints are at rest.
    """
    focal, middle_px = observed.focal[None], observed.center[None]
    if observed.view is not None:
        focal, middle_px = observed.view.focal, observed.view.center
    rest = joint_priors(skeleton.names)[0]
    count = len(world)
    rotations = np.broadcast_to(rot.exp(rest), (count, len(rest), 3, 3)).copy()
    points3d = np.stack([world[:, source].mean(1) for source in SOURCES], 1).astype(float)
    points3d = points3d @ np.swapaxes(observed.keypoint_rotation, -1, -2)

    def at(name: str) -> np.ndarray:
        return points3d[:, INDEX[name]]

    left = unit(at("left_hip") - at("right_hip") + at("left_shoulder") - at("right_shoulder"))
    up = at("left_shoulder") + at("right_shoulder") - at("left_hip") - at("right_hip")
    up = unit(up - left * (up * left).sum(-1, keepdims=True))
    rotations[:, 0] = np.stack([left, up, np.cross(left, up)], -1)  # columns: the body's axes in the camera frame
    weight = np.maximum(observed.seen, 1e-3)[..., None]
    weight = weight / weight.sum(1, keepdims=True)
    center2d, center3d = (observed.uv * weight).sum(1), (points3d * weight).sum(1)
    spread2d = np.sqrt((((observed.uv - center2d[:, None]) ** 2) * weight).sum((1, 2)))
    spread3d = np.sqrt((((points3d - center3d[:, None])[..., :2] ** 2) * weight).sum((1, 2)))
    depth = focal.mean(1) * np.maximum(spread3d, 0.05) / np.maximum(spread2d, 1.0)
    ray = np.concatenate([(center2d - middle_px) / focal, np.ones((count, 1))], 1)
    hips = ray * depth[:, None] - center3d  # the origin of the 3D keypoints is between the hips
    middle = skeleton.joints[[skeleton.names.index("left_hip"), skeleton.names.index("right_hip")]].mean(0)
    root = skeleton.joints[0]
    trans = hips - (root + (rotations[:, 0] @ (middle - root)))
    state = State(rotations, np.zeros((count, skeleton.joint_directions.shape[2])), trans)
    return state if observed.view is None else to_common_frame(observed.view, skeleton, state)


def _fit_results(skeleton: Skeleton, problem: Problem, state: State) -> list[KeypointFit]:
    _, joints, points = skeleton.forward(state)
    uv = problem.project(points)
    error = np.linalg.norm(uv - problem.observed.uv, axis=-1)
    body_px = np.concatenate([uv, problem.project(joints)], 1)
    height = np.maximum(np.ptp(body_px, axis=1).max(-1), 1.0)
    confidence = joint_confidence(skeleton, problem, error / height[:, None])
    counted = (problem.observed.seen > 0.5) + 1e-9
    mean = (error * counted).sum(1) / counted.sum(1)
    poses = rot.log(state.rotations)
    return [
        KeypointFit(poses[b], state.betas[b], state.trans[b], confidence[b], float(mean[b]), float(mean[b] / height[b]))
        for b in range(len(mean))
    ]
