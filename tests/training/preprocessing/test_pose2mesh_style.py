"""Pose2Mesh's windows, noise and targets against the original's numbers and against posed bodies."""

from __future__ import annotations

import pickle
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.body.loader import load_body
from backend.errors import BadInput
from backend.models.pose2mesh.joint_sets import HUMAN36, normalise_pose
from training.datasets.geometry import project, with_column
from training.datasets.record import Record
from training.datasets.tiny.people import bodies, hands
from training.losses.body_targets import Pose2MeshTargets
from training.preprocessing.keypoint_noise import coco_errors, human36_errors
from training.preprocessing.pose2mesh_style import Pose2MeshPreparer, PoseAugmentationParams
from training.preprocessing.pose_window import SIZE, PoseWindow, mirrored2d, pose_box, rotated3d, window_box


@pytest.fixture
def g(golden):
    return golden("pose2mesh", "golden_extras")


def test_windows_equal_the_original(g):
    tight = pose_box(g["kp"])
    np.testing.assert_allclose(tight, g["bbox_tight"], atol=1e-4)
    np.testing.assert_allclose(window_box(tight), g["bbox_model"], atol=1e-4)
    np.testing.assert_allclose(window_box(tight, 1, 1.25), g["bbox_square125"], atol=1e-4)
    for angle in (0, 20):
        window = PoseWindow(window_box(g["bbox_tight"]), angle)
        np.testing.assert_allclose(window.matrix, g[f"affine_rot{angle}"], atol=1e-4)
        np.testing.assert_allclose(window.transform(g["kp"]), g[f"kp_crop_rot{angle}"], atol=1e-4)
    window = PoseWindow(window_box(tight))
    flipped = mirrored2d(window.transform(g["kp"]), HUMAN36.mirrored)
    np.testing.assert_allclose(flipped, g["kp_flip"], atol=1e-4)
    np.testing.assert_allclose(normalise_pose(window.transform(g["kp"])), g["kp_norm"], atol=2e-6)
    rotated = rotated3d(g["kp3d"], 20, True, HUMAN36.mirrored)
    np.testing.assert_allclose(rotated, g["kp3d_rot20_flip"], atol=1e-4)


def test_noise_equals_the_original(g):
    rng = np.random.RandomState(0)
    for expected in g["h36m_noise"]:
        np.testing.assert_allclose(human36_errors(rng), expected, atol=1e-6)
    rng, pick = np.random.RandomState(0), random.Random(0).randrange
    for expected in g["coco_noise"]:
        found = coco_errors(g["coco_in"], float(g["coco_area"]), rng, pick)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_noise_of_a_new_generator_is_as_frequent(g):
    rng = np.random.default_rng(0)
    found = np.stack([coco_errors(g["coco_in"], float(g["coco_area"]), rng) for _ in range(60)])
    gaps = np.linalg.norm(found[..., :2] - g["coco_in"][:, :2], axis=-1)
    near = np.sqrt(-2 * float(g["coco_area"]) * (2 * 0.107) ** 2 * np.log(0.85))
    assert 0.45 < (gaps[:, [11, 12]] <= near).mean() < 0.85  # good: .64 of hips
    hidden = g["coco_in"].copy()
    hidden[3:, 2] = 0
    moved = coco_errors(hidden, float(g["coco_area"]), rng)
    np.testing.assert_array_equal(moved[3:], hidden[3:])


def test_augmentation_is_drawn_as_by_the_original(g):
    """The original draws the rotation from numpy, then flip and whether to rotate from Python's generator."""

    class Both:
        normal, coin = np.random.RandomState(0), random.Random(0)

        def standard_normal(self):
            return self.normal.standard_normal()

        def uniform(self):
            return self.coin.random()

    prepare = Pose2MeshPreparer("human36", "human36", "open", flip=0.5, rotation=30)
    draws = [prepare.draw(Both()) for _ in range(20)]
    np.testing.assert_allclose([[d.flip, d.rotation] for d in draws], g["augm_params"])


def record_of(person, joint_set, **fields):
    usual = {
        "key": "x_000003", "dataset": "human36m" if joint_set == "h36m17" else "muco", "joint_set": joint_set,
        "joints2d": with_column(person.joints2d(joint_set)), "joints3d": with_column(person.joints3d(joint_set)),
        **{name: getattr(person, name) for name in ("pose", "betas", "trans", "camera")},
    }  # fmt: skip
    return Record(**(usual | fields))


def mesh_targets(out, name="open", regressor="h36m17"):
    """Vertices and joints that `Pose2MeshTargets` makes of a prepared sample, and the regressor."""
    rows = load_body(name).regressors[regressor]
    batch = {key: torch.as_tensor(value)[None] for key, value in out.items()}
    vertices, joints = Pose2MeshTargets(load_body(name), rows)(batch)
    return vertices[0], joints[0], rows


@pytest.fixture(scope="module")
def person():
    return bodies(1)[0]


@pytest.mark.parametrize("pose_set", ["human36", "coco", "smpl"])
def test_inputs_and_targets_equal_ground_truth(person, pose_set):
    """2D pose, lifted joints and mesh are consistent: lifted joints are the mesh's, relative to their root."""
    name = {"human36": "h36m17", "coco": "coco19", "smpl": "smpl24"}[pose_set]
    root = {"human36": 0, "coco": 17, "smpl": 0}[pose_set]
    record = record_of(person, "h36m17")
    out = Pose2MeshPreparer(pose_set, "human36", "open", input="truth")(record)
    np.testing.assert_allclose(out["pose2d"], normalise_pose(person.joints2d(name)), atol=1e-4)
    joints = 1000 * person.joints3d(name)
    np.testing.assert_allclose(out["lifted"], joints - joints[root], atol=0.01)
    vertices, regressed, regressor = mesh_targets(out)
    joints = 1000 * person.joints3d("h36m17")
    np.testing.assert_allclose(regressed, joints - joints[0], atol=0.05)
    np.testing.assert_allclose(1000 * (regressor @ vertices), joints - joints[0], atol=0.05)
    assert out["joints_given"] == 1 and out["mesh_valid"] == 1 and out["index"] == 3


def test_targets_without_motion_capture_are_regressed_from_the_mesh(person):
    record = record_of(person, "smpl24", dataset="amass")
    out = Pose2MeshPreparer("coco", "human36", "open", input="truth")(record)
    assert out["joints_given"] == 0
    joints = 1000 * person.joints3d("h36m17")
    np.testing.assert_allclose(mesh_targets(out)[1], joints - joints[0], atol=0.05)


def test_input_by_a_weak_perspective_camera(person):
    nothing = dict.fromkeys(("camera", "trans", "joints3d"))
    record = record_of(person, "coco17", dataset="coco", weak_camera=np.array([100.0, 7, 9]), **nothing)
    joints = person.posed.joints("coco19", person.pose, person.betas)
    out = Pose2MeshPreparer("coco", "human36", "open", input="truth")(record)
    np.testing.assert_allclose(out["pose2d"], normalise_pose(joints[:, :2]), atol=1e-4)


def test_hands():
    hand = hands(1)[0]
    record = record_of(hand, "hand21", dataset="freihand", detected2d=with_column(hand.joints2d("hand21") + 1))
    out = Pose2MeshPreparer("mano", "mano", "open_hand")(record)
    np.testing.assert_allclose(out["pose2d"], normalise_pose(hand.joints2d("hand21")), atol=1e-4)
    joints = 1000 * hand.joints3d("hand21")
    np.testing.assert_allclose(out["lifted"], joints - joints[0], atol=0.01)
    np.testing.assert_allclose(mesh_targets(out, "open_hand", "freihand21")[1], joints - joints[0], atol=0.05)
    unknown = replace(record, pose=None, betas=None)  # the evaluation set
    out = Pose2MeshPreparer("mano", "mano", "open_hand", train=False)(unknown)
    assert out["mesh_valid"] == 0 and not out["lift_valid"].any() and np.abs(out["pose2d"]).max() > 1


@pytest.mark.parametrize("noise", ["human36", "coco"])
def test_noise_changes_the_input_alone(person, noise):
    record = record_of(person, "h36m17")
    prepare = Pose2MeshPreparer(noise, "human36", "open", noise=noise)
    plain, noisy = prepare(record), prepare(record, np.random.default_rng(0))
    again = pickle.loads(pickle.dumps(prepare))(record, np.random.default_rng(0))
    np.testing.assert_array_equal(noisy["pose2d"], again["pose2d"])
    assert 0.01 < np.abs(noisy["pose2d"] - plain["pose2d"]).max() < 3
    for name in plain.keys() - {"pose2d"}:
        np.testing.assert_array_equal(noisy[name], plain[name])


def test_flips_and_rotations_change_2d_and_lifted_joints_alike(person):
    """From far away, x and y of the lifted joints equal the 2D pose."""
    trans, camera = person.trans + [0, 0, 400.0], np.array([3e4, 3e4, 100.0, 100.0])
    joints = person.posed.joints("h36m17", person.pose, person.betas, trans)
    labels = {"joints3d": with_column(joints), "joints2d": with_column(project(joints, camera))}
    far = record_of(person, "h36m17", trans=trans, camera=camera, **labels)
    prepare = Pose2MeshPreparer("coco", "human36", "open", input="truth")
    for change in ((), (True,), (False, 25.0), (True, -40.0)):
        out = prepare.apply(far, PoseAugmentationParams(*change), None)
        np.testing.assert_allclose(out["pose2d"], normalise_pose(out["lifted"][:, :2]), atol=0.02)


@pytest.mark.parametrize(
    ("dataset", "error", "pose_set", "stage", "quirks", "expected"),
    [
        ("human36m", 26.0, "human36", "full", True, [False, True, True]),
        ("human36m", 26.0, "coco", "full", True, [False, False, True]),
        ("human36m", 24.0, "coco", "full", True, [True, True, True]),
        ("coco", 3.1, "coco", "full", True, [False, False, False]),
        ("coco", 2.9, "coco", "full", True, [True, True, True]),
        ("muco", 10.0, "coco", "full", True, [False, False, False]),  # the original's bug
        ("muco", 10.0, "coco", "full", False, [True, True, True]),
        ("muco", 46.0, "coco", "posenet", True, [True, True, True]),
        ("muco", 46.0, "coco", "posenet", False, [False, False, False]),
        ("3dpw", None, "coco", "full", True, [True, True, True]),
    ],
)
def test_bad_fits_are_invalid(person, dataset, error, pose_set, stage, quirks, expected):
    record = record_of(person, "h36m17", dataset=dataset, fit_error=error)
    prepare = Pose2MeshPreparer(pose_set, "human36", "open", stage=stage, input="truth", upstream_quirks=quirks)
    out = prepare(record)
    assert [bool(np.all(out[name])) for name in ("mesh_valid", "lift_valid", "joints_valid")] == expected


def test_muco_is_flipped_before_its_noise_only_upstream(person):
    record = record_of(person, "muco21", dataset="muco")
    found = []
    for quirks in (True, False):
        prepare = Pose2MeshPreparer("coco", "human36", "open", noise="coco", upstream_quirks=quirks)
        found.append(prepare.apply(record, PoseAugmentationParams(True), np.random.default_rng(0))["pose2d"])
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_truth_input_falls_back_to_detections_without_public_ground_truth():
    """For FreiHAND's evaluation images; in training a sample without ground truth is an error."""
    points = np.random.RandomState(0).rand(21, 3) * 100
    record = Record(key="00000007", dataset="freihand", joint_set="hand21", detected2d=points)
    known = Pose2MeshPreparer("mano", "mano", "open_hand", input="detected", train=False)(record)
    found = Pose2MeshPreparer("mano", "mano", "open_hand", input="truth", train=False)(record)
    np.testing.assert_array_equal(found["pose2d"], known["pose2d"])
    assert not found["lift_valid"].any() and found["index"] == 7
    with pytest.raises(BadInput) as refused:
        Pose2MeshPreparer("mano", "mano", "open_hand", input="truth")(record)
    assert refused.value.code == "bad_label"


def test_bad_input_is_reported(person):
    record = record_of(person, "h36m17")
    with pytest.raises(BadInput, match="x_000003 has no detected"):
        Pose2MeshPreparer("coco", "human36", "open", train=False)(record)
    few = replace(record, detected2d=np.ones((16, 3), np.float32))
    with pytest.raises(BadInput, match="detection of 16 joints"):
        Pose2MeshPreparer("coco", "human36", "open", train=False)(few)
    flat = replace(record, joints2d=np.ones((17, 3), np.float32))
    with pytest.raises(BadInput, match="x_000003: A 2D pose of 1 x 1 px"):
        Pose2MeshPreparer("human36", "human36", "open", input="truth")(flat)
    with pytest.raises(BadInput, match="no camera"):
        Pose2MeshPreparer("coco", "human36", "open", input="truth")(replace(record, camera=None))
    with pytest.raises(BadInput, match="noise of coco"):
        Pose2MeshPreparer("smpl", "smpl", "open", noise="coco")
    with pytest.raises(BadInput, match="pose of 72 numbers"):
        Pose2MeshPreparer("mano", "mano", "open_hand", input="truth").labels(record, PoseAugmentationParams())


def test_window_is_of_the_network_size():
    assert SIZE.tolist() == [288, 384]
