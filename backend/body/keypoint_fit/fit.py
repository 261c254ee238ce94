"""Detected keypoints -> body parameters in the full camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.body.camera_frames import to_common_frame
from backend.body.keypoint_fit.confidence import joint_confidence
from backend.body.keypoint_fit.priors import joint_priors
from backend.body.keypoint_fit.problem import Observations, Problem, Weights
from backend.body.keypoint_fit.solver import minimize
from backend.body.kinematics import Skeleton, State
from backend.body.landmarks import BONE_FROM, BONE_INDEX, BONE_TO, FEET, INDEX, LEG_BONES, SOURCES, TRUNK
from backend.body.model import BodyModel
from backend.errors import BadInput
from backend.geometry import rotations_numpy as rot
from backend.geometry.camera_path import View
from backend.structures import Camera, DetectedPerson
from backend.threads import one_blas_thread

_SEEN = (
    0.1,
    0.5,
)  # visibility below the first is out of sight, above the second a sight; a guess lies between
# weight of the 3D directions, of the pose prior, iterations: first find the pose in depth, then lay it on the picture
_RETRY_COST = 25.0  # final cost above which a second start is tried; most pictures stay below
STAGES = ((6.0, 1.0, 8), (4.5, 0.6, 10), (4.5, 0.6, 14))


GUIDED_SEEN = 0.5  # visibility from which a landmark counts, and what it tells of follows the guide
CUT_LEG = 0.3  # of the weight that a thigh's 3D direction has where the ankle is not seen
GUIDED_STAGES = ((3.0, 0.6, 8), (3.0, 0.6, 10))


@dataclass(frozen=True)
class KeypointFit:
    """One fitted body; conventions as `RecoveredPerson`.

    reprojection_px: mean distance of the seen landmarks to the fitted body's.  reprojection_relative: the same over
    the height of the whole fitted body in the picture, parts outside the frame included.
    """

    poses: np.ndarray  # (J, 3)
    betas: np.ndarray  # (S,)
    trans: np.ndarray  # (3,)
    confidence: np.ndarray  # (J,)
    reprojection_px: float
    reprojection_relative: float


@one_blas_thread()
def fit_keypoints(
    body: BodyModel,
    people: Sequence[DetectedPerson],
    camera: Camera,
    initial: State | None = None,
    guide: State | None = None,
) -> list[KeypointFit]:
    """Fit every person of one picture at once; `initial` warm-starts (for the next frame of a clip).
    guide: bodies that somebody else found, which the fit starts from and keeps near, joint by joint.

    A joint that moves nothing seen rests: straight legs, hanging arms.  Raises BadInput `bad_keypoints` for keypoints
    that are not 33 finite MediaPipe landmarks, `bad_body` for a body without SMPL's 24 joints.
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
    if initial is not None:
        return _fit_results(skeleton, problem, _solve(problem, initial)[0])
    standing = initial_state(skeleton, world, observed)
    state, cost = _solve(problem, standing)
    if cost.max() > _RETRY_COST:
        # a squat is not reached from a standing pose: try the other way too, and keep what explains each person better
        other, other_cost = _solve(problem, _crouching(skeleton, standing))
        legs = [INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("knee", "ankle")]
        shown = observed.seen[:, legs].min(1) > 0.2  # legs that nobody sees stand; see `_straighten_unseen_legs`
        state = other.where(shown & (other_cost < 0.97 * cost), state)
    return _fit_results(skeleton, problem, state)


def _fit_guided(skeleton: Skeleton, observed: Observations, guide: State) -> list[KeypointFit]:
    """Lay bodies that somebody else found on the picture."""
    # what the detector guesses the guide knows better
    seen = np.where(observed.seen > GUIDED_SEEN, observed.seen, 0.0)
    follows = (skeleton.influences[None] * seen[..., None]).max(1) > 0
    bone_confidence = observed.bone_confidence.copy()
    for side in ("left", "right"):
        cut = seen[:, INDEX[f"{side}_ankle"]] == 0  # of a leg that ends nobody knows more than the picture shows
        follows[cut, skeleton.names.index(f"{side}_hip")] = False
        bone_confidence[cut, BONE_INDEX[f"{side}_hip", f"{side}_knee"]] *= CUT_LEG
    # it knows where the feet are, too: to hold the trunk over them would cross the legs of who is seen from the side
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


_MAX_LEVEL = np.deg2rad(25)


def _level_landmarks(world: np.ndarray, seen: np.ndarray, sideways_gain: float) -> tuple[np.ndarray, np.ndarray]:
    """Turn 3D landmarks (B, K, 3) about the camera's x axis so that whoever shows both feet stands over them.

    A camera that looks down makes everybody lean towards it or away; which part of a lean is the camera's cannot be
    known from one person.  But nobody keeps a balance with the trunk beside the feet, so the trunk's lead in depth is
    taken for the camera's: wholly where it is sideways for the person, half where it is forward or backward (sitting).
    sideways_gain: what a lean counts more where it is sideways, 0.5 for wholly.
    Also returns (B,) 0..1, how surely the trunk is over the feet in depth: as far as depth is sideways for the person.
    """
    rise = world[:, TRUNK].mean(1) - world[:, FEET].mean(1)
    across = _unit(world[:, INDEX["left_hip"]] - world[:, INDEX["right_hip"]])
    sideways = across[:, 2] ** 2
    lean = np.arctan2(rise[:, 2], np.maximum(-rise[:, 1], 0.2))  # rad, away from the camera
    both_feet = np.clip(2 * seen[:, [INDEX["left_ankle"], INDEX["right_ankle"]]].min(1), 0, 1)
    angle = np.clip(lean * (0.5 + sideways_gain * sideways), -_MAX_LEVEL, _MAX_LEVEL) * both_feet
    rotation = rot.exp(np.stack([angle, np.zeros_like(angle), np.zeros_like(angle)], -1))
    return world @ np.swapaxes(rotation, -1, -2), sideways * both_feet


def _solve(problem: Problem, state: State) -> tuple[State, np.ndarray]:
    """All stages -> the final state and its cost (B,) under the last stage's weights, outliers counted in full."""
    trust = np.ones_like(problem.observed.seen)
    for directions, prior, iterations in STAGES:
        state, _ = minimize(problem, state, Weights(directions, prior, trust), iterations)
        trust = problem.trust(state)
    values, _ = problem.residuals(state, Weights(*STAGES[-1][:2], np.ones_like(trust)), derive=False)
    return state, (values**2).sum(1)


def _crouching(skeleton: Skeleton, standing: State) -> State:
    """The same start with hips and knees bent deeply."""
    rotations = standing.rotations.copy()
    for name, angle in (("hip", -1.6), ("knee", 1.9)):
        for side in ("left", "right"):
            rotations[:, skeleton.names.index(f"{side}_{name}")] = rot.exp(np.array([angle, 0.0, 0.0]))
    return State(rotations, standing.betas, standing.trans)


LEVEL = np.array([0.0, -1.0, 0.0])  # up, for a camera that is held level


def observe(
    points: np.ndarray,
    world: np.ndarray,
    camera: Camera,
    up: np.ndarray = LEVEL,
    view: View | None = None,
    guided: bool = False,
) -> Observations:
    """points: (B, 33, 3) x px, y px, visibility.  world: (B, 33, 3) m, the 3D keypoints as MediaPipe gives them.
    up: (3,) or (B, 3) unit, camera frame, where it is known.

    guided: the 3D keypoints tell a camera that looks down better: only half of a lean to the side is taken for it.
    view: of these B rows, where the camera moves; what is observed is then in its common frame, and `up` is its own.
    Raises BadInput `bad_keypoints`.
    """
    points, world = points.astype(float), world.astype(float)
    if points.shape[1:] != (33, 3) or world.shape[1:] != (33, 3) or not np.isfinite([points, world]).all():
        raise BadInput(
            "bad_keypoints",
            "The keypoints are not 33 finite MediaPipe landmarks.",
            "Detect the people again.",
        )

    def landmarks(values: np.ndarray) -> np.ndarray:
        return np.stack([values[:, source].mean(1) for source in SOURCES], 1)

    uv = landmarks(points[..., :2])
    visibility = np.stack([points[:, source, 2].min(1) for source in SOURCES], 1)
    inside = ((uv > -0.5) & (uv < [camera.width - 0.5, camera.height - 0.5])).all(-1)
    rising = np.clip((visibility - _SEEN[0]) / (_SEEN[1] - _SEEN[0]), 0, 1)
    seen = rising * rising * (3 - 2 * rising) * inside
    hips = uv[:, [INDEX["left_hip"], INDEX["right_hip"]]].mean(1)
    if view is None:
        rotation = ray_rotations(hips, camera)
        up = np.broadcast_to(up, (len(points), 3))
        back = leveled = leveling_rotations(up)  # camera frame -> the same with up where a level camera has it
    else:
        rotation = ray_rotations(hips, camera, view.focal, view.center)
        up = np.broadcast_to(LEVEL, (len(points), 3))
        back, leveled = view.level_rotation, view.level_rotation @ np.swapaxes(view.rotation, 1, 2)
    points3d = landmarks(world) @ np.swapaxes(leveled @ rotation, -1, -2)
    points3d, balance = _level_landmarks(points3d, seen, 0.0 if guided else 0.5)
    points3d = points3d @ back
    span = points3d[:, BONE_TO] - points3d[:, BONE_FROM]
    directions = span / (np.linalg.norm(span, axis=-1, keepdims=True) + 1e-9)
    bone_confidence = np.minimum(seen[:, BONE_FROM], seen[:, BONE_TO])
    directions, bone_confidence = _straighten_unseen_legs(directions, bone_confidence, up)
    return Observations(
        uv,
        seen,
        directions,
        bone_confidence,
        balance,
        up,
        np.array([camera.fx, camera.fy]),
        np.array([camera.cx, camera.cy]),
        _extent(uv, seen),
        rotation,
        view,
    )


def ray_rotations(
    hips: np.ndarray, camera: Camera, focal: np.ndarray | None = None, center: np.ndarray | None = None
) -> np.ndarray:
    """(B, 3, 3): from the axes of the 3D keypoints into the camera's.  hips: (B, 2) px, the middle of MediaPipe's crop.
    focal, center: (B, 2) px of each row, where they are not the camera's.

    MediaPipe sees a person in a crop of its own, and gives 3D keypoints as if the camera looked straight at it: against
    the truth of rendered clips they are turned with the ray to the person (slopes of 0.4 to 1.3 over +-20 degrees).
    """
    ray = np.ones((len(hips), 3))
    inside = np.clip(hips, 0, [camera.width - 1, camera.height - 1])
    center = np.array([camera.cx, camera.cy]) if center is None else center
    focal = np.array([camera.fx, camera.fy]) if focal is None else focal
    ray[:, :2] = (inside - center) / focal
    return _minimal_rotations(np.array([0.0, 0.0, 1.0]), _unit(ray))


def leveling_rotations(up: np.ndarray) -> np.ndarray:
    """(B, 3, 3): the shortest turns that take `up` (B, 3) to a level camera's."""
    return np.swapaxes(_minimal_rotations(LEVEL, up), -1, -2)


def _minimal_rotations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(B, 3, 3) from a (3,) to b (B, 3), unit and not opposite."""
    cross = rot.skew(np.cross(a, b))
    return np.eye(3) + cross + cross @ cross / np.maximum(1 + b @ a, 1e-6)[:, None, None]


def _straighten_unseen_legs(
    directions: np.ndarray, bone_confidence: np.ndarray, up: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Legs out of sight stand: under an upright torso they point down, however it bends; else nothing is said."""
    left, right = BONE_INDEX["left_hip", "left_shoulder"], BONE_INDEX["right_hip", "right_shoulder"]
    upright = np.clip(((directions[:, left] + directions[:, right]) * up).sum(1) / 2, 0, 1)
    for bone in LEG_BONES:
        unseen = (bone_confidence[:, bone] < 0.2) & (upright > 0.3)
        directions[unseen, bone] = -up[unseen]
        bone_confidence[unseen, bone] = upright[unseen]
    return directions, bone_confidence


def _extent(uv: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(B,) root-mean-square spread of what is seen, times 2: about a person's size in px, never below 8."""
    weight = seen + 1e-6
    weight = weight / weight.sum(1, keepdims=True)
    center = (uv * weight[..., None]).sum(1, keepdims=True)
    spread = ((uv - center) ** 2).sum(-1)
    return np.maximum(np.sqrt((spread * weight).sum(1)), 8.0)


def initial_state(skeleton: Skeleton, world: np.ndarray, observed: Observations) -> State:
    """Turn from hips and shoulders in 3D; place by the ratio of sizes in the picture and in metres.

    world: (B, 33, 3) m, the 3D keypoints.  The rest of the body is in its resting pose.
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

    left = _unit(at("left_hip") - at("right_hip") + at("left_shoulder") - at("right_shoulder"))
    up = at("left_shoulder") + at("right_shoulder") - at("left_hip") - at("right_hip")
    up = _unit(up - left * (up * left).sum(-1, keepdims=True))
    rotations[:, 0] = np.stack([left, up, np.cross(left, up)], -1)  # columns: where the body's axes go
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


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / (np.linalg.norm(vector, axis=-1, keepdims=True) + 1e-9)


def _fit_results(skeleton: Skeleton, problem: Problem, state: State) -> list[KeypointFit]:
    _, joints, points = skeleton.forward(state)
    uv = problem.project(points)
    error = np.linalg.norm(uv - problem.observed.uv, axis=-1)
    everything = np.concatenate([uv, problem.project(joints)], 1)
    height = np.maximum(np.ptp(everything, axis=1).max(-1), 1.0)
    confidence = joint_confidence(skeleton, problem, error / height[:, None])
    counted = (problem.observed.seen > 0.5) + 1e-9
    mean = (error * counted).sum(1) / counted.sum(1)
    poses = rot.log(state.rotations)
    return [
        KeypointFit(
            poses[b],
            state.betas[b],
            state.trans[b],
            confidence[b],
            float(mean[b]),
            float(mean[b] / height[b]),
        )
        for b in range(len(mean))
    ]
