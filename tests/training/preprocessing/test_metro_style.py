"""METRO's crops, labels and augmentation against the originals' numbers."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch

from backend.body.joint_sets import SMPL24, mirror_indices
from backend.body.loader import load_body
from backend.errors import BadInput
from training.datasets.joint_sets import JOINT_SETS
from training.datasets.record import Record
from training.preprocessing.augmentation import AugmentationParams, MetroAugmentation
from training.preprocessing.crops import CropWindow
from training.preprocessing.metro_style import MEAN, STD, MetroPreparer, index_from_key, joints3d, rotated_pose

METRO24 = JOINT_SETS["metro24"]


@dataclass(frozen=True)
class Pixels:
    array: np.ndarray

    def read(self):
        return self.array


def golden_image():
    y, x = np.mgrid[:300, :400]
    channels = [(3 * x + 5 * y) % 256, (x * y // 7) % 256, (2 * x - y + 512) % 256]
    return np.stack(channels, -1).astype(np.uint8)


def record_of(**fields):
    usual = {"image": Pixels(golden_image()), "center": np.array([200.0, 150.0]), "side": 240.0}
    return Record(**{"key": "a_000012.jpg", "dataset": "test", "joint_set": "metro24", **usual, **fields})


@pytest.mark.parametrize("family", ["fastmetro", "smpler"])
@pytest.mark.parametrize("case", range(5))
def test_a_sample_equals_the_original(golden, family, case):
    g = golden(family, "golden_preproc")
    get = {k.partition(".")[2]: v for k, v in g.items() if k.startswith(f"case{case}.")}
    cx, cy, scale, rotation, flip, *gains = get["params"]
    labels = {"joints2d": get["kp2d_in"], "joints3d": get["kp3d_in"], "pose": get["pose_in"], "betas": np.arange(10.0)}
    record = record_of(center=np.array([cx, cy]), side=200 * scale, **labels)
    params = AugmentationParams(bool(flip), tuple(gains), rotation)
    out = MetroPreparer().apply(record, params)
    image = out["image"] * STD[:, None, None] + MEAN[:, None, None]
    # OpenCV's versions differ in some pixels of a rotated crop (the goldens are of 5.0): in 47 of 3072 in one case
    gap = np.abs(image[:, ::7, ::7] - get["sub7"])
    assert (gap < 2e-5).mean() > 0.98 and gap.max() < 0.02
    np.testing.assert_allclose([image.mean(), image.std()], get["mean_std"], atol=2e-5)
    np.testing.assert_allclose(out["joints2d"], get["kp2d"], atol=1e-6)
    expected = get["kp3d"].copy()
    rootless = joints3d(get["kp3d_in"], params, METRO24.mirror, 14)
    np.testing.assert_allclose(out["joints3d"], rootless)
    expected[:, :3] -= expected[14, :3]
    np.testing.assert_allclose(out["joints3d"], expected, atol=2e-6)
    np.testing.assert_allclose(out["pose"], get["pose"], atol=2e-6)
    assert out["has_2d"] == out["has_3d"] == out["has_mesh"] == 1 and out["index"] == 12


def draws_of(augmentation, rng, count):
    changes = [augmentation.draw(rng) for _ in range(count)]
    return np.array([[c.flip, *c.gains, c.rotation, c.scale] for c in changes])


def test_draws_equal_the_originals(golden):
    expected = golden("fastmetro", "golden_augm_draws")["golden_augm_draws"]
    np.testing.assert_array_equal(draws_of(MetroAugmentation(), np.random.RandomState(5), 6), expected)
    expected = golden("smpler", "golden_preproc")["augm_draws_seed11"]
    np.testing.assert_array_equal(draws_of(MetroAugmentation(), np.random.RandomState(11), 20), expected)


def test_draws_of_hands():
    hand = MetroAugmentation(flip=0.0, rotation=90.0)  # right hands stay right hands
    draws = draws_of(hand, np.random.default_rng(0), 2000)
    assert not draws[:, 0].any()
    assert np.abs(draws[:, 4]).max() == 180 and 0.55 < (draws[:, 4] == 0).mean() < 0.65
    assert draws[:, 5].min() == 0.75 and draws[:, 5].max() == 1.25
    body = draws_of(MetroAugmentation(), np.random.default_rng(0), 2000)
    assert 0.45 < body[:, 0].mean() < 0.55 and np.abs(body[:, 4]).max() == 60


def test_no_augmentation_without_a_generator():
    record = record_of(joints2d=np.ones((24, 3), np.float32))
    plain, still = MetroPreparer()(record), MetroPreparer(train=False)(record, np.random.default_rng(0))
    for name, value in plain.items():
        np.testing.assert_array_equal(still[name], value)
    moved = MetroPreparer()(record, np.random.default_rng(0))
    assert np.abs(moved["image"] - plain["image"]).max() > 0.1
    again = pickle.loads(pickle.dumps(MetroPreparer()))(record, np.random.default_rng(0))
    np.testing.assert_array_equal(again["image"], moved["image"])


def test_missing_labels_are_zeros_without_their_flag():
    out = MetroPreparer()(record_of())
    for name in ("joints2d", "joints3d", "pose", "betas"):
        assert not out[name].any()
    assert out["has_2d"] == out["has_3d"] == out["has_mesh"] == 0
    assert {name: value.dtype for name, value in out.items()}["image"] == np.float32
    assert out["image"].shape == (3, 224, 224)


def test_joints_of_other_sets_are_mapped_by_name():
    names = JOINT_SETS["h36m17"].names
    joints = np.concatenate([np.arange(51).reshape(17, 3), np.ones((17, 1))], 1).astype(np.float32)
    out = MetroPreparer()(record_of(joint_set="h36m17", joints3d=joints))
    for k, name in enumerate(METRO24.names):
        if name in names:
            expected = joints[names.index(name), :3] - joints[names.index("pelvis"), :3]
            np.testing.assert_allclose(out["joints3d"][k], [*expected, 1])
        else:
            assert out["joints3d"][k, 3] == 0


@pytest.mark.parametrize("size", [(224, 224), (384, 288)])
@pytest.mark.parametrize("rotation", [0.0, 33.0])
@pytest.mark.parametrize("flip", [False, True])
def test_2d_labels_match_the_crop(size, rotation, flip):
    """A dot is where its label is: exactly without upstream_quirks, a pixel or two off with them."""
    pixels = np.zeros((300, 400, 3), np.uint8)
    center = (230, 121)
    cv2.circle(pixels, center, 4, (255, 255, 255), -1)
    joints = np.zeros((24, 3), np.float32)
    joints[:] = [*center, 1]
    record = record_of(image=Pixels(pixels), joints2d=joints, center=np.array([203.3, 148.2]), side=251.0)
    gaps = []
    for quirks in (False, True):
        out = MetroPreparer(size=size, upstream_quirks=quirks).apply(
            record, AugmentationParams(flip, rotation=rotation)
        )
        brightness = out["image"][0] * STD[0] + MEAN[0]
        y, x = np.mgrid[: size[0], : size[1]]
        centroid = np.array([(brightness * x).sum(), (brightness * y).sum()]) / brightness.sum()
        # edges of the longer side are at -1 and 1
        units = (2 * (centroid + 0.5) - [size[1], size[0]]) / max(size)
        gaps.append(np.abs(units - out["joints2d"][5, :2]).max() * max(size) / 2)
    assert gaps[0] < 0.15 and gaps[1] < 3


def test_3d_rotates_with_the_image():
    """A point to the right of the root rotates counter-clockwise with the content, to above it."""
    change = AugmentationParams(rotation=90.0)
    joints = np.zeros((24, 4), np.float32)
    joints[0, :3] = [1, 0, 0]
    rotated = joints3d(joints, change, METRO24.mirror, 14)
    np.testing.assert_allclose(rotated[0, :3], [0, -1, 0], atol=1e-6)
    window = CropWindow(np.array([100.0, 100.0]), 100.0, (224, 224), 90.0)
    right = window.transform(np.array([[120.0, 100.0]]), truncate=False)[0]
    assert right[1] < -0.3 and abs(right[0]) < 0.02
    pose = rotated_pose(np.zeros(72), change)
    np.testing.assert_allclose(pose[:3], [0, 0, -np.pi / 2], atol=1e-6)


def test_a_flipped_pose_is_the_mirror_image():
    body = load_body("open")
    rng = np.random.default_rng(0)
    pose = 0.3 * rng.standard_normal(72)
    flipped = rotated_pose(pose, AugmentationParams(flip=True))
    poses = torch.as_tensor(np.stack([pose, flipped]), dtype=torch.float32).view(2, 24, 3)
    joints = body(poses, torch.zeros(2, 10)).joints.numpy()
    mirrored = joints[0][mirror_indices(SMPL24)] * [-1, 1, 1]
    np.testing.assert_allclose(joints[1], mirrored, atol=0.01)  # the open body is symmetric to a few millimetres


def test_bad_records_are_reported():
    with pytest.raises(BadInput, match="a_000012"):
        MetroPreparer()(record_of(image=None))
    with pytest.raises(BadInput, match="cannot be cut out"):
        MetroPreparer()(record_of(side=0.2, center=np.array([200.5, 150.5])))
    with pytest.raises(BadInput, match="flip: 0"):
        rotated_pose(np.zeros(48), AugmentationParams(flip=True))
    out = MetroPreparer()(record_of(center=np.array([-900.0, 40.0])))  # outside the image: black
    np.testing.assert_allclose(out["image"][:, 5, 5], -MEAN / STD, rtol=1e-5)


def test_numbers_in_keys():
    assert index_from_key("freihand/evaluation/rgb/00003959.jpg") == 3959
    assert index_from_key("S9_Walking.jpg") == 9 and index_from_key("image.png") == -1
