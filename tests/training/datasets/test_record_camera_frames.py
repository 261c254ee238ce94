"""Records of data sets with cameras: 3DPW, SURREAL, AMASS, UP-3D.  Frames, units and mirroring must be right."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from record_ground_truth import assert_record_matches
from scipy.spatial.transform import Rotation

from backend.body.loader import load_body
from backend.errors import BadInput
from training.datasets import tiny
from training.datasets.amass import CAMERA as VIRTUAL
from training.datasets.amass import ROTATIONS
from training.datasets.geometry import project
from training.datasets.registry import build_dataset
from training.datasets.tiny.arrays import capture_poses
from training.datasets.tiny.people import bodies
from training.datasets.tiny.pw3d import SEQUENCE, share_betas
from training.datasets.tiny.surreal import people_of


def test_3dpw_pickles_equal_ground_truth(tmp_path):
    data = build_dataset(tiny.write("pw3d", tmp_path, count=3))
    all_rows = bodies(6)
    people = share_betas(all_rows[:3]) + share_betas(all_rows[3:])
    assert len(data) == 6  # the frame with an invalid camera is skipped for both
    for record, person in zip(data, people, strict=True):
        assert_record_matches(record, person)
        assert record.subject == SEQUENCE and record.detected_set == "openpose18"
        np.testing.assert_allclose(record.detected2d[:, :2], person.joints2d("openpose18"), atol=1e-4)
    assert [r.gender for r in data] == ["male"] * 3 + ["female"] * 3
    assert data[4].key == f"{SEQUENCE}/1/00001" and data[4].image.path.name == "image_00001.jpg"
    assert data.check() == []
    by_gender = build_dataset({**tiny.write("pw3d", tmp_path, count=3), "body": {"male": "open"}})
    assert by_gender[0].trans is not None and by_gender[3].trans is None


def _change(path, change):
    content = pickle.loads(path.read_bytes())  # written by the test
    change(content)
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("cam_poses"), "lacks 'cam_poses'"),
        (lambda c: c["trans"].pop(), "has no 'trans' of person 1"),
        (lambda c: c["poses"].__setitem__(0, c["poses"][0][:2]), r"'poses' has shape \(2, 72\), expected \(4, 72\)"),
        (lambda c: c["poses2d"][1].__setitem__((0, 0, 0), np.nan), "person 1: 'poses2d' contains NaN"),
        (lambda c: c.update(poses=3), "no list of people"),
    ],
)  # fmt: skip
def test_corrupt_3dpw_is_reported(tmp_path, change, words):
    config = tiny.write("pw3d", tmp_path, count=3)
    _change(tmp_path / "sequenceFiles/test" / f"{SEQUENCE}.pkl", change)
    with pytest.raises(BadInput, match=f"{SEQUENCE}.*{words}"):
        build_dataset(config)


class _Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/executed_by_a_test",)


def test_a_3dpw_pickle_with_code_is_refused(tmp_path):
    config = tiny.write("pw3d", tmp_path, count=2)
    _change(tmp_path / "sequenceFiles/test" / f"{SEQUENCE}.pkl", lambda c: c.update(evil=_Evil()))
    with pytest.raises(BadInput) as caught:
        build_dataset(config)
    assert caught.value.code == "refused_pickle" and not Path("/tmp/executed_by_a_test").exists()
    (tmp_path / "sequenceFiles/test" / f"{SEQUENCE}.pkl").write_bytes(b"\x80\x02}q")
    with pytest.raises(BadInput, match=rf"{SEQUENCE}\.pkl is damaged"):
        build_dataset(config)
    with pytest.raises(BadInput, match=r"There is no .*sequenceFiles/train"):
        build_dataset({**config, "split": "train"})


def test_3dpw_json_equals_ground_truth_in_the_order_of_people(tmp_path):
    config = tiny.write("pw3d_json", tmp_path, count=3)
    data = build_dataset(config)
    for record, person in zip(data, bodies(6), strict=True):
        assert_record_matches(record, person)
        assert record.detected_set == "coco17"
        np.testing.assert_allclose(record.detected2d[:, :2], person.joints2d("coco17") + 0.5, atol=1e-4)
    assert data.check() == []
    detections = tmp_path / "data/darkpose_3dpw_testset_output.json"
    detections.write_text(json.dumps(json.loads(detections.read_text())[1:]))
    with pytest.raises(BadInput, match="no detection of annotation 0"):
        build_dataset(config)
    detections.unlink()
    assert build_dataset(config)[0].detected2d is None


def test_surreal_equals_the_mirrored_ground_truth(tmp_path):
    data = build_dataset(tiny.write("surreal", tmp_path, count=4))
    for record, person in zip(data, people_of(4), strict=True):
        assert_record_matches(record, person)
        assert record.gender == "male" and record.subject == "01_01"
        assert np.abs(record.image.read().astype(float) - person.image((320, 240))).mean() < 12  # MPEG-4
    assert data.check() == []  # the second clip is one frame long
    assert len(build_dataset({**tiny.write("surreal", tmp_path, count=4), "every_frame": 2})) == 3


def test_surreal_is_mirrored_as_by_its_own_scripts(tmp_path):
    """The body posed by the file as in SURREAL's smpl_relations, transformed by the published camera matrix."""
    data = build_dataset(tiny.write("surreal", tmp_path, count=3))
    content = scipy.io.loadmat(str(next(tmp_path.glob("cmu/train/run0/01_01/*1_info.mat"))))
    pose, zrot = content["pose"][:, 0], float(content["zrot"][0, 0])
    around_z = Rotation.from_euler("z", zrot).as_matrix()
    root = (
        Rotation.from_euler("x", 90, degrees=True).as_matrix() @ around_z @ Rotation.from_rotvec(pose[:3]).as_matrix()
    )
    pose = np.concatenate([Rotation.from_matrix(root).as_rotvec(), pose[3:]])
    body = load_body("open")
    posed = body(torch.tensor(pose).float().reshape(1, 24, 3), torch.tensor(content["shape"][:, 0]).float()[None])
    joints = posed.joints[0].numpy() - posed.joints[0, 0].numpy() + content["joints3D"][:, 0, 0]
    # the open body is not quite symmetric
    np.testing.assert_allclose(joints, content["joints3D"][..., 0].T, atol=0.012)
    world_to_camera = np.array([[0, 0, -1.0], [0, 1, 0], [-1, 0, 0]])
    in_camera = (joints - content["camLoc"].ravel()) @ world_to_camera.T
    # the image is mirrored: the record's right ankle is the file's left one
    record = data[0]
    np.testing.assert_allclose(record.joints3d[8, :3], in_camera[7], atol=0.012)
    np.testing.assert_allclose(record.joints2d[8, :2], content["joints2D"][:, 7, 0], atol=1e-4)


def test_corrupt_surreal_is_reported(tmp_path):
    config = tiny.write("surreal", tmp_path, count=4)
    path = tmp_path / "cmu/train/run0/01_01/01_01_c0001_info.mat"
    content = {k: v for k, v in scipy.io.loadmat(str(path)).items() if not k.startswith("_")}
    bad = {**content, "joints2D": content["joints2D"].copy()}
    bad["joints2D"][0, 3, 1] = np.nan
    scipy.io.savemat(path, bad)
    data = build_dataset(config)
    data[0]
    with pytest.raises(BadInput, match=r"c0001_info\.mat, row frame 1: 'joints2D' contains NaN"):
        data[1]
    path.with_name("01_01_c0002.mp4").unlink()
    assert len(data.check()) == 2
    bad["joints3D"] = bad["joints3D"][:, :20]
    path = path.rename(path.with_name("01_01_c0009_info.mat"))  # clips are cached by file name
    scipy.io.savemat(path, bad)
    with pytest.raises(BadInput, match=r"'joints3D' of shape \(3, 20, 3\), expected \(3, 24, 3\)"):
        build_dataset(config)[2]
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(BadInput, match="cannot be read as MATLAB 5"):
        build_dataset(config)


def test_surreal_json_equals_ground_truth(tmp_path):
    config = tiny.write("surreal_json", tmp_path, count=3)
    data = build_dataset(config)
    for record, person in zip(data, people_of(3), strict=True):
        assert_record_matches(record, person)
        np.testing.assert_allclose(record.detected2d[:, :2], person.joints2d("smpl24") + 0.5, atol=1e-4)
    assert data.check() == []
    quirky = build_dataset({**config, "upstream_quirks": True})
    assert len(quirky) == 4 and quirky[3].key == quirky[0].key
    assert len(build_dataset({**config, "upstream_quirks": True, "split": "val"})) == 3


def test_amass_equals_ground_truth_in_four_cameras(tmp_path):
    config = tiny.write("amass", tmp_path, count=3)
    data = build_dataset(config)
    poses, betas = capture_poses(3)
    assert len(data) == 12
    body = load_body("open").double()
    for row, record in enumerate(data):
        frame, view = divmod(row, 4)
        pose = poses[frame, :72].copy()
        pose[66:] = 0
        np.testing.assert_allclose(record.pose[3:], pose[3:], atol=1e-6)
        # pose the body in the world, then rotate about the root joint's rest position
        out = body(torch.tensor(pose).reshape(1, 24, 3), torch.tensor(betas[:10])[None])
        root = out.joints[0, 0].numpy()
        vertices = (out.vertices[0].numpy() - root) @ ROTATIONS[view].T + root + [0, 0, 10.0]
        joints = body.regressors["h36m17"].numpy() @ vertices
        np.testing.assert_allclose(record.joints3d[:, :3], joints, atol=2e-6)
        np.testing.assert_allclose(record.joints2d[:, :2], project(joints, VIRTUAL), atol=1e-3)
        head, ankles = record.joints2d[10, 1], record.joints2d[[3, 6], 1]
        assert (head < ankles).all()  # upright in the image
    assert data.check() == []
    assert data.subject(5) == "CMU/01"
    assert len(build_dataset({**config, "subsets": ["cmu", "ekut"], "joint_set": "coco19"})) == 24


def test_amass_quirk_uses_finger_rotations_for_hands(tmp_path):
    config = tiny.write("amass", tmp_path, count=2)
    assert (build_dataset(config)[0].pose[66:] == 0).all()
    assert (build_dataset({**config, "upstream_quirks": True})[0].pose[66:] == np.float32(0.4)).all()


def test_corrupt_amass_is_reported(tmp_path):
    config = tiny.write("amass", tmp_path, count=2)
    path = tmp_path / "CMU/01/01_01_poses.npz"
    with np.load(path) as archive:
        content = dict(archive)
    np.savez(path, **{**content, "poses": content["poses"][:, :63]})
    with pytest.raises(BadInput, match="poses of 63 numbers, expected SMPL-H's 156"):
        build_dataset(config)
    np.savez(path, **{**content, "betas": content["betas"] * np.nan})
    with pytest.raises(BadInput, match=r"01_01_poses\.npz.*'betas' contains NaN"):
        build_dataset(config)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadInput, match=r"01_01_poses\.npz cannot be read"):
        build_dataset(config)
    with pytest.raises(BadInput, match=r"no SUBSET/SUBJECT/\*_poses.npz of BML"):
        build_dataset({**config, "subsets": ["BML"]})


def test_up3d_equals_ground_truth(tmp_path):
    data = build_dataset(tiny.write("up3d", tmp_path, count=3))
    camera = np.array([260.0, 260.0, 96.0, 80.0])
    for record, person in zip(data, bodies(3, 0, camera), strict=True):
        assert_record_matches(record, person)
        np.testing.assert_allclose(record.box, person.box(), atol=1.5)
        assert (record.image.read() == person.image()).all()
    assert data.check() == []
    (tmp_path / "00001_body.pkl").write_bytes(pickle.dumps({"pose": np.zeros(72), "betas": _Evil()}, protocol=2))
    np.save(tmp_path / "00002_joints.npy", np.zeros((14, 3)))
    (tmp_path / "00000_render_light.png").unlink()
    wrong = data.check()
    assert len(wrong) == 3
    assert "00000_render_light.png" in wrong[0] and "00001_body.pkl was refused" in wrong[1]
    assert "00002_joints.npy, row -: 'joints' has shape (14, 3), expected (3, 14)" in wrong[2]
