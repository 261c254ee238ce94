"""The user's own 2D poses, and detected keypoints in the order of Pose2Mesh's sets."""

import json

import numpy as np
import pytest

from backend.body.joint_sets import BLAZEPOSE33
from backend.errors import BadInput
from backend.models.pose2mesh.input_pose import pose_of
from backend.models.pose2mesh.joint_sets import POSE_SETS
from backend.people.detect.keypoint_file import read_keypoints
from backend.structures import DetectedPerson

RNG = np.random.RandomState(0)


def test_one_pose_in_pixels(tmp_path):
    pose = RNG.uniform(0, 500, (17, 2))
    np.save(tmp_path / "pose.npy", pose)
    (person,) = read_keypoints(tmp_path / "pose.npy", (17, 19)).people("any.jpg", "coco")
    np.testing.assert_allclose(person.keypoints2d[:, :2], pose, rtol=1e-6)
    assert (person.keypoints2d[:, 2] == 1).all()
    np.testing.assert_allclose(person.box, [*pose.min(0), *pose.max(0)], rtol=1e-6)
    assert pose_of(person, "coco").shape == (19, 3)


def test_integers_are_numbers_too(tmp_path):
    """The original's demo file is int64; its crop coordinates were truncated to integers."""
    pose = RNG.randint(0, 500, (2, 21, 2))
    np.save(tmp_path / "pose.npy", pose)
    people = read_keypoints(tmp_path / "pose.npy", (21,)).people("", "mano")
    assert len(people) == 2
    np.testing.assert_allclose(people[1].keypoints2d[:, :2], pose[1])


def test_a_json_of_several_images_without_weak_and_duplicate_poses(tmp_path):
    strong = np.concatenate([RNG.uniform(0, 500, (17, 2)), np.full((17, 1), 0.9)], 1)
    weak = np.concatenate([RNG.uniform(0, 500, (17, 2)), np.full((17, 1), 0.05)], 1)
    twice = strong + [3, 3, 0]
    other = strong + [200, 0, 0]
    content = {"a.jpg": [p.tolist() for p in (strong, weak, twice, other)], "b.jpg": []}
    (tmp_path / "poses.json").write_text(json.dumps(content))
    file = read_keypoints(tmp_path / "poses.json", (17, 19))
    assert len(file.people("folder/a.jpg", "coco")) == 2
    assert file.people("b.jpg", "coco") == []
    with pytest.raises(BadInput) as caught:
        file.people("c.jpg", "coco")
    assert caught.value.code == "no_keypoints"


@pytest.mark.parametrize(
    "write",
    [
        lambda p: p.write_bytes(b"rubbish"),
        lambda p: np.save(p, np.zeros((5, 2))),
        lambda p: np.save(p, np.full((17, 2), np.nan)),
        lambda p: np.save(p, np.zeros((17, 4))),
        lambda p: np.save(p, np.array([{"x": 1}], object)),
        lambda p: np.save(p, np.zeros((1000, 17, 2))),
    ],
)
def test_other_files_are_refused(tmp_path, write):
    path = tmp_path / "pose.npy"
    write(path)
    with pytest.raises(BadInput, match=r"pose\.npy") as caught:
        read_keypoints(path, (17, 19))
    assert caught.value.code == "not_keypoints"


def test_uneven_json_is_refused(tmp_path):
    (tmp_path / "poses.json").write_text(json.dumps({"a": [[[1, 2, 3]], [[1, 2]]]}))
    with pytest.raises(BadInput):
        read_keypoints(tmp_path / "poses.json", (17,))
    with pytest.raises(BadInput) as caught:
        read_keypoints(tmp_path / "absent.json", (17,))
    assert caught.value.code == "file_missing"


@pytest.mark.parametrize("name", ["coco", "human36", "smpl"])
def test_detected_keypoints_in_every_pose_set(name):
    keypoints = np.concatenate([RNG.uniform(0, 500, (33, 2)), RNG.uniform(0, 1, (33, 1))], 1)
    person = DetectedPerson(np.zeros(4), 1.0, keypoints, np.zeros((33, 3)), "blazepose33")
    pose = pose_of(person, name)
    joints = POSE_SETS[name].joints
    assert pose.shape == (len(joints), 3)
    for k, joint in enumerate(joints):
        if joint in BLAZEPOSE33:
            np.testing.assert_allclose(pose[k], keypoints[BLAZEPOSE33.index(joint)])
    hips = (keypoints[BLAZEPOSE33.index("left_hip")] + keypoints[BLAZEPOSE33.index("right_hip")]) / 2
    np.testing.assert_allclose(pose[joints.index("pelvis")], hips)


def test_unrelated_keypoint_sets_are_refused():
    person = DetectedPerson(np.zeros(4), 1.0, np.zeros((21, 3)), np.zeros((21, 3)), "freihand21")
    assert pose_of(person, "mano").shape == (21, 3)
    with pytest.raises(BadInput) as caught:
        pose_of(person, "coco")
    assert caught.value.code == "wrong_keypoints"
