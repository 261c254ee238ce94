"""Records of Pose2Mesh's JSON files: Human3.6M, MuCo-3DHP, COCO."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from record_ground_truth import assert_record_matches

from backend.errors import BadInput
from training.datasets import tiny
from training.datasets.human36m import PROTOCOL2
from training.datasets.registry import build_dataset
from training.datasets.tiny.coco_style import WEAK
from training.datasets.tiny.people import bodies
from training.datasets.validation import ErrorCollector, bad_row


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Tiny data sets, written once; tests that corrupt them use copies."""
    folder = tmp_path_factory.mktemp("tiny")
    return {kind: tiny.write(kind, folder / kind, count=3) for kind in ("human36m", "muco", "coco")}


@pytest.fixture
def copies(originals, tmp_path):
    copied = {}
    for kind, config in originals.items():
        shutil.copytree(config["path"], tmp_path / kind)
        copied[kind] = {**config, "path": str(tmp_path / kind)}
    return copied


def _edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_human36m_equals_ground_truth(originals):
    config = {**originals["human36m"], "split": "test"}
    data = build_dataset(config)
    assert [r.subject for r in data] == ["S9"] * 3 + ["S11"] * 3  # skipped: frames between the steps, or without a fit
    people = [person for subject in PROTOCOL2["test"] for person in bodies(3, subject)]
    for record, person in zip(data, people, strict=True):
        assert record.joint_set == "h36m17" and record.gender == "neutral"
        assert_record_matches(record, person)
        assert record.fit_error < 0.01  # mm
        np.testing.assert_allclose(record.detected2d[:, :2], person.joints2d("h36m17") + 0.5, atol=1e-3)
        assert np.abs(record.image.read().astype(float) - person.image()).mean() < 6
        np.testing.assert_allclose(record.center, record.box.reshape(2, 2).mean(0), rtol=1e-6)
    assert data.check() == []
    train = build_dataset({**config, "split": "train"})
    assert len(train) == 15 and train[0].detected2d is None
    assert len(build_dataset({**config, "split": "train", "subjects": ["S5", "S7"]})) == 6
    assert len(build_dataset({**config, "split": "train", "every_frame": 1, "body": None})) == 20
    assert build_dataset({**config, "body": None})[0].trans is None
    with pytest.raises(BadInput, match="no split 'val'"):
        build_dataset({**config, "split": "val"})


def test_human36m_betas_out_of_range_become_zeros(copies):
    path = copies["human36m"]["path"] + "/annotations/Human36M_subject9_smpl_param.json"

    def change(content):
        content["2"]["1"]["0"]["shape"][4] = -3.5
        content["2"]["1"]["50"]["pose"][20] += 0.9

    _edit(Path(path), change)
    data = build_dataset({**copies["human36m"], "split": "test"})
    assert (data[0].betas == 0).all() and (data[1].betas != 0).all()
    assert data[1].fit_error > 25  # beyond the limit of the mesh loss


def test_muco_equals_ground_truth(originals):
    data = build_dataset(originals["muco"])
    assert len(data) == 3 and [r.key for r in data] == ["1", "3", "5"]  # the nearer person; no NaN, no missing fit
    for record, person in zip(data, bodies(3), strict=True):
        assert_record_matches(record, person)
        # MuCo's joints are not those of Human3.6M's regressor
        assert record.fit_error < 1
        assert record.image.read().shape == (160, 192, 3)
    assert data.check() == []


def test_coco_equals_ground_truth(originals):
    data = build_dataset(originals["coco"])
    assert len(data) == 3
    for record, person in zip(data, bodies(3), strict=True):
        assert record.joints2d[:, 2].tolist() == [1, 1, 1, 0] + [1] * 13
        visible = record.joints2d[:, 2] > 0
        posed = person.posed.joints("coco17", person.pose, person.betas)
        projected = posed[:, :2] * WEAK[0] + WEAK[1:]
        np.testing.assert_allclose(record.joints2d[visible, :2], projected[visible], atol=1e-4)
        np.testing.assert_allclose(record.weak_camera, WEAK)
        np.testing.assert_allclose(record.pose, person.pose, atol=1e-6)
        assert record.joints3d is None and record.camera is None and record.trans is None
        assert record.fit_error < 1e-3
        assert np.abs(record.image.read().astype(float) - person.image(weak_camera=WEAK)).mean() < 6
    assert data.check() == []


def test_coco_fit_errors_are_in_a_crop_of_64(copies):
    def change(content):
        content["901"]["cam_param"]["t"][0] += 10.0

    _edit(Path(copies["coco"]["path"]) / "annotations" / "coco_smplify_train.json", change)
    record = build_dataset(copies["coco"])[1]
    posed = bodies(3)[1].posed.joints("coco19", record.pose, record.betas)
    size = np.ptp(posed[:, :2], axis=0).max() * WEAK[0] - 1
    assert record.fit_error == pytest.approx(10 * 64 / size, rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "file", "change", "words"),
    [
        ("human36m", "annotations/Human36M_subject1_camera.json", lambda c: c.clear(), "lacks '1'"),
        (
            "human36m", "annotations/Human36M_subject5_joint_3d.json",
            lambda c: c["2"]["1"]["5"].pop(), r"joint_3d\.json, row 2/1/5: 'joints' has shape \(16, 3\)",
        ),
        (
            "human36m", "annotations/Human36M_subject6_smpl_param.json",
            lambda c: c["2"]["1"]["0"]["pose"].__setitem__(3, float("nan")), "'pose' contains NaN",
        ),
        ("human36m", "annotations/Human36M_subject8_data.json", lambda c: c.pop("images"), "lacks 'images'"),
        ("muco", "data/MuCo-3DHP.json", lambda c: c["images"][1].pop("f"), "row image 51: lacks 'f'"),
        ("muco", "data/MuCo-3DHP.json", lambda c: c["annotations"][0].update(keypoints_cam=[[1, 2, 3]]), "not 21"),
        ("muco", "data/smpl_param.json", lambda c: c["1"].update(pose=[0] * 71), r"row 1: 'pose' has shape \(71,\)"),
        ("muco", "data/smpl_param.json", lambda c: c.clear(), "has no usable row"),
        (
            "coco", "annotations/person_keypoints_train2017.json",
            lambda c: c["annotations"][2].update(image_id=77), r"row 902 \(image\): lacks 77",
        ),
        ("coco", "annotations/coco_smplify_train.json", lambda c: c["900"].pop("cam_param"), "lacks 'cam_param'"),
    ],
)  # fmt: skip
def test_corrupt_files_are_reported(copies, kind, file, change, words):
    _edit(Path(copies[kind]["path"]) / file, change)
    with pytest.raises(BadInput, match=words):
        build_dataset(copies[kind])


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("human36m", "annotations/Human36M_subject7_smpl_param.json"),
        ("muco", "data/smpl_param.json"),
        ("coco", "annotations/coco_smplify_train.json"),
    ],
)
def test_missing_and_truncated_files_are_reported(copies, kind, file):
    path = Path(copies[kind]["path"]) / file
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    with pytest.raises(BadInput, match=rf"{path.name} is not complete JSON"):
        build_dataset(copies[kind])
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadInput, match="git-lfs placeholder"):
        build_dataset(copies[kind])
    path.unlink()
    with pytest.raises(BadInput, match=f"There is no .*{path.name}"):
        build_dataset(copies[kind])


def test_detections_of_other_frames_are_reported(copies):
    path = Path(copies["human36m"]["path"]) / "absnet_output_on_testset.json"
    _edit(path, lambda c: c.pop(min(c)))
    with pytest.raises(BadInput, match="lacks 1 of 6 test frames, among them s_09_act_02_subact_01_ca_01_000001"):
        build_dataset({**copies["human36m"], "split": "test"})


def test_check_finds_missing_images_wrong_cameras_and_bodies(copies):
    folder = Path(copies["coco"]["path"])
    (folder / "images/train2017/000000000001.jpg").unlink()
    assert any("000000000001.jpg" in m for m in build_dataset(copies["coco"]).check())

    def metres(content):
        for image in content["images"]:
            image["c"] = [0.0, 0.0]

    _edit(Path(copies["muco"]["path"]) / "data/MuCo-3DHP.json", metres)
    assert any("do not project to the 2D ones" in m for m in build_dataset(copies["muco"]).check())

    def other_body(content):
        for fit in content.values():
            fit["pose"][:9] = [0.5] * 9

    _edit(Path(copies["muco"]["path"]) / "data/smpl_param.json", other_body)
    assert any("another body model" in m for m in build_dataset(copies["muco"]).check())


def test_parsed_columns_are_cached_and_rebuilt(copies, tmp_path):
    config = {**copies["muco"], "cache": str(tmp_path / "cache")}
    first = build_dataset(config)
    (cached,) = (tmp_path / "cache").glob("*.npz")
    again = build_dataset(config)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.joints3d, b.joints3d)
        assert a.key == b.key
    cached.write_bytes(cached.read_bytes()[:100])  # a full disk
    assert len(build_dataset(config)) == 3
    _edit(Path(config["path"]) / "data/smpl_param.json", lambda c: c.pop("1"))
    assert len(build_dataset(config)) == 2


def test_all_bad_rows_are_reported_at_once(copies):
    def change(content):
        for key in ("900", "902"):
            content[key]["smpl_param"]["pose"][0] = float("nan")

    _edit(Path(copies["coco"]["path"]) / "annotations" / "coco_smplify_train.json", change)
    with pytest.raises(BadInput) as caught:
        build_dataset(copies["coco"])
    assert "row 900: 'pose'" in str(caught.value) and "row 902: 'pose'" in str(caught.value)
    assert "row 901" not in str(caught.value)


def test_the_number_of_reported_rows_is_limited():
    problems = ErrorCollector(limit=3)
    with pytest.raises(BadInput, match="row 2: x"):
        for row in range(1000):
            with problems:
                raise bad_row("file", row, "x")
    assert len(problems.errors) == 3
    with pytest.raises(ZeroDivisionError), ErrorCollector():
        _ = 1 / 0
    ErrorCollector().raise_if_any()
