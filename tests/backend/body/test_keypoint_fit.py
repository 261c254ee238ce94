"""The keypoint fit: derivatives, accuracy on known bodies, limits, and invisible landmarks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.body.joint_sets import BLAZEPOSE33, SMPL24
from backend.body.keypoint_fit import fit_keypoints
from backend.body.keypoint_fit.observations import Observations, ray_rotations
from backend.body.keypoint_fit.priors import joint_priors
from backend.body.keypoint_fit.problem import Problem, Weights
from backend.body.kinematics import Skeleton, State
from backend.body.landmarks import NAMES, body_landmarks
from backend.body.procrustes import pa_mpjpe
from backend.errors import BadInput
from backend.geometry import rotations_numpy as rot
from backend.structures import Camera, DetectedPerson

CAMERA = Camera(1100.0, 1100.0, 383.5, 511.5, 768, 1024)
KNEES, ANKLES = [4, 5], [7, 8]


@pytest.fixture(scope="module")
def skeleton(body):
    return Skeleton(body)


def random_people(seed, count=1, spread=0.35):
    """(poses, betas, trans) of standing people: poses within limits, any heading, in front of the camera."""
    rng = np.random.default_rng(seed)
    rest, _, low, high = joint_priors(SMPL24)
    poses = np.clip(rest + rng.normal(0, spread, (count, 24, 3)), np.maximum(low, -2), np.minimum(high, 2)) * 0.8
    for k in range(count):
        yaw = rng.uniform(-np.pi, np.pi)
        heading = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        poses[k, 0] = rot.log(np.diag([1.0, -1, -1]) @ heading)
    betas = rng.normal(0, 0.7, (count, 10))
    trans = np.column_stack([rng.uniform(-0.3, 0.3, count), rng.uniform(0.1, 0.3, count), rng.uniform(3.2, 4.5, count)])
    return poses, betas, trans


def observe(body, poses, betas, trans, camera=CAMERA, noise=0.0, seed=0):
    """(detections of a perfect detector, joints): projected landmarks, and 3D ones with the origin between the hips."""
    with torch.no_grad():
        out = body(*(torch.tensor(a, dtype=torch.float32) for a in (poses, betas, trans)))
    points = np.einsum("kv,nvc->nkc", body.regressors["blazepose33"].numpy(), out.vertices.numpy())
    uv = camera.project(points) + np.random.default_rng(seed).normal(0, noise, (*points.shape[:2], 2))
    hips = points[:, [23, 24]].mean(1, keepdims=True)
    rotations = ray_rotations(uv[:, [23, 24]].mean(1), camera)
    people = [
        DetectedPerson(
            np.concatenate([uv[k].min(0), uv[k].max(0)]),
            1.0,
            np.concatenate([uv[k], np.ones((33, 1))], 1).astype(np.float32),
            ((points - hips)[k] @ rotations[k]).astype(np.float32),
            "blazepose33",
        )
        for k in range(len(points))
    ]
    return people, out.joints.numpy()


def posed_joints(body, fits):
    """(N, 24, 3) joints of fitted bodies, m."""
    parameters = (np.stack([getattr(fit, name) for fit in fits]) for name in ("poses", "betas", "trans"))
    with torch.no_grad():
        return body(*(torch.tensor(value, dtype=torch.float32) for value in parameters)).joints.numpy()


def test_jacobian_is_the_derivative_of_every_residual(skeleton):
    rng = np.random.default_rng(0)
    count = 2
    rotations = rot.exp(rng.normal(0, 0.5, (count, 24, 3)))
    state = State(rotations, rng.normal(size=(count, 10)), rng.normal(size=(count, 3)) * 0.2 + [0, 0, 4])
    directions = rng.normal(size=(count, 19, 3))
    observed = Observations(
        uv=rng.uniform(0, 700, (count, len(NAMES), 2)), seen=rng.uniform(0, 1, (count, len(NAMES))),
        directions=directions / np.linalg.norm(directions, axis=-1, keepdims=True),
        bone_confidence=rng.uniform(0, 1, (count, 19)), balance=rng.uniform(0, 1, count), focal=np.array([900.0, 950]),
        center=np.array([300.0, 400]),
        size=np.array([200.0, 300]),
        up=np.array([[0.0, -0.96, 0.28], [0.0, -1, 0]]), keypoint_rotation=np.tile(np.eye(3), (count, 1, 1)),
    )  # fmt: skip
    problem = Problem(skeleton, observed)
    weights = Weights(3.0, 0.6, rng.uniform(0.3, 1, (count, len(NAMES))))
    values, jacobian = problem.residuals(state, weights)
    assert jacobian.shape == (*values.shape, skeleton.size) == (count, values.shape[1], 85)
    step = 1e-6
    for k in range(skeleton.size):
        change = np.zeros((count, skeleton.size))
        change[:, k] = step
        forward, backward = (problem.residuals(state.updated(s), weights, derive=False)[0] for s in (change, -change))
        numeric = (forward - backward) / (2 * step)
        np.testing.assert_allclose(jacobian[:, :, k], numeric, atol=2e-4 * (1 + np.abs(numeric).max()), err_msg=str(k))


def test_known_bodies_are_recovered(body):
    people, joints = observe(body, *random_people(1, 8))
    fits = fit_keypoints(body, people, CAMERA)
    error = pa_mpjpe(posed_joints(body, fits), joints)  # mm
    assert np.median(error) < 30 and max(error) < 60
    assert np.median([f.reprojection_relative for f in fits]) < 0.006
    assert np.mean([f.confidence[[4, 5, 18, 19]].mean() for f in fits]) > 0.9


def test_noise_of_six_pixels_is_tolerated(body):
    people, joints = observe(body, *random_people(2, 6), noise=6.0)
    fits = fit_keypoints(body, people, CAMERA)
    assert np.median(pa_mpjpe(posed_joints(body, fits), joints)) < 50


def test_an_outlier_is_not_followed(body):
    people, _ = observe(body, *random_people(3))
    clean = fit_keypoints(body, people, CAMERA)[0]
    moved = people[0].keypoints2d.copy()
    moved[BLAZEPOSE33.index("left_wrist"), 0] += 300
    (fit,) = fit_keypoints(body, [replace(people[0], keypoints2d=moved)], CAMERA)
    assert fit.confidence[20] < 0.2 < clean.confidence[20]
    assert np.abs(fit.betas - clean.betas).max() < 1.5


@pytest.mark.parametrize("how", ["invisible", "outside"])
def test_unseen_legs_stand_with_low_confidence(body, how):
    people, _ = observe(body, *random_people(4, spread=0.1))
    points, world = people[0].keypoints2d.copy(), people[0].keypoints3d.copy()
    rng = np.random.default_rng(0)
    legs = range(25, 33)
    world[legs] = rng.normal(size=(8, 3)) * 0.5  # arbitrary
    if how == "invisible":
        points[legs, 2] = 0.02
        points[legs, :2] = rng.uniform(0, 700, (8, 2))
    else:
        points[legs, 1] = 1400
    (fit,) = fit_keypoints(body, [replace(people[0], keypoints2d=points, keypoints3d=world)], CAMERA)
    assert fit.confidence[KNEES + ANKLES + [10, 11]].max() == 0
    assert fit.confidence[[16, 17]].min() > 0.5
    assert np.linalg.norm(fit.poses[KNEES], axis=1).max() < 0.35
    (joints,) = posed_joints(body, [fit])
    for hip, ankle in ((1, 7), (2, 8)):
        leg = joints[ankle] - joints[hip]
        assert leg[1] / np.linalg.norm(leg) > 0.9  # down, in the camera's frame


def test_knees_and_elbows_stay_within_their_limits(body):
    """Keypoints of a body whose knees and elbows are bent the wrong way."""
    poses, betas, trans = random_people(5, spread=0.05)
    poses[0, [4, 5], 0] = -0.9
    poses[0, 18, 1], poses[0, 19, 1] = 0.9, -0.9
    (fit,) = fit_keypoints(body, observe(body, poses, betas, trans)[0], CAMERA)
    # the limits are soft: a fifth of the observed angle remains
    assert fit.poses[[4, 5], 0].min() > -0.2
    assert fit.poses[18, 1] < 0.15 and fit.poses[19, 1] > -0.15


def test_a_batch_equals_single_people(body):
    people, _ = observe(body, *random_people(6, 3))
    together = fit_keypoints(body, people, CAMERA)
    for person, fit in zip(people, together, strict=True):
        (alone,) = fit_keypoints(body, [person], CAMERA)
        # a batch iterates until all people have converged
        np.testing.assert_allclose(alone.trans, fit.trans, atol=2e-2)
        np.testing.assert_allclose(rot.exp(alone.poses), rot.exp(fit.poses), atol=8e-2)


def test_the_fit_is_deterministic(body):
    people, _ = observe(body, *random_people(7))
    first, second = (fit_keypoints(body, people, CAMERA)[0] for _ in range(2))
    np.testing.assert_array_equal(first.poses, second.poses)


def test_three_visible_landmarks_give_a_finite_body(body):
    people, _ = observe(body, *random_people(8))
    points = people[0].keypoints2d.copy()
    points[3:, 2] = 0.0
    (fit,) = fit_keypoints(body, [replace(people[0], keypoints2d=points)], CAMERA)
    for values in (fit.poses, fit.betas, fit.trans, fit.confidence):
        assert np.isfinite(values).all()
    assert fit.trans[2] > 0.5 and np.abs(fit.betas).max() < 3


def test_no_people_and_nan_keypoints(body):
    assert fit_keypoints(body, [], CAMERA) == []
    people, _ = observe(body, *random_people(9))
    broken = people[0].keypoints2d.copy()
    broken[3, 0] = np.nan
    with pytest.raises(BadInput, match="not 33 finite"):
        fit_keypoints(body, [replace(people[0], keypoints2d=broken)], CAMERA)


def test_landmarks_that_are_joints_equal_the_skeletons(body):
    """The `blazepose33` rows, fitted to posed bodies, are some millimetres off in the rest pose."""
    found = body_landmarks(body)
    for name in ("left_shoulder", "right_elbow", "left_wrist", "right_hip", "left_knee", "right_ankle"):
        k, j = NAMES.index(name), body.joint_names.index(name)
        np.testing.assert_allclose(found.rest[k], body.joints_template[j], atol=1e-6)
        np.testing.assert_allclose(found.directions[k], body.joints_shapedirs[j], atol=1e-6)


def test_landmarks_of_a_body_without_regressors(body, monkeypatch):
    """As with SMPL's own file: nose in front of the eyes, ears outermost, heels behind, toes in front."""
    expected = dict(zip(NAMES, body_landmarks(body).rest, strict=True))
    monkeypatch.delitem(body.regressors, "blazepose33")
    found = dict(zip(NAMES, body_landmarks(body).rest, strict=True))
    for name in NAMES:
        assert np.linalg.norm(found[name] - expected[name]) < 0.09, name
    assert found["nose"][2] > found["left_eye"][2] > found["left_ear"][2]
    assert found["left_toe"][2] > found["left_heel"][2]


def test_rotation_logarithm_and_its_derivative():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 3))
    vectors *= (rng.uniform(0, 3.0, 50) / np.linalg.norm(vectors, axis=1))[:, None]
    np.testing.assert_allclose(rot.log(rot.exp(vectors)), vectors, atol=1e-9)
    step = 1e-6
    for k, change in enumerate(step * np.eye(3)):
        ahead, back = (rot.log(rot.exp(vectors) @ rot.exp(sign * change)) for sign in (1, -1))
        np.testing.assert_allclose(rot.inverse_right_jacobian(vectors)[..., k], (ahead - back) / (2 * step), atol=1e-5)


def test_a_guide_corrects_flat_3d_keypoints(body):
    """3D keypoints with 30 % of their depth, and a guide near the true pose."""
    poses, betas, trans = random_people(11, 4)
    people, joints = observe(body, poses, betas, trans, noise=1.0)
    flat = [replace(p, keypoints3d=p.keypoints3d * np.float32([1, 1, 0.3])) for p in people]
    rng = np.random.default_rng(0)
    near = State(rot.exp(poses + rng.normal(0, 0.08, poses.shape)), 0 * betas, trans + [0.05, -0.05, 0.3])
    plain = fit_keypoints(body, flat, CAMERA)
    guided = fit_keypoints(body, flat, CAMERA, guide=near)
    plain_mm, guided_mm = (pa_mpjpe(posed_joints(body, fits), joints).mean() for fits in (plain, guided))
    assert guided_mm < 0.8 * plain_mm and guided_mm < 40
    assert max(f.reprojection_relative for f in guided) < 0.01


def test_invisible_joints_are_at_rest_despite_the_guide(body):
    poses, betas, trans = random_people(12)
    people, _ = observe(body, poses, betas, trans)
    hidden = people[0].keypoints2d.copy()
    hidden[25:, 2] = 0.05  # below the hips
    bent = poses.copy()
    bent[:, KNEES] = [1.8, 0, 0]
    guide = State(rot.exp(bent), betas, trans)
    (fit,) = fit_keypoints(body, [replace(people[0], keypoints2d=hidden)], CAMERA, guide=guide)
    assert np.abs(fit.poses[KNEES]).max() < 0.3
    assert fit.confidence[KNEES + ANKLES].max() < 0.2
