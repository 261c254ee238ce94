"""METRO's TSV data sets: records equal ground truth, and corrupt files are reported."""

import json
import pickle

import numpy as np
import pytest
from record_ground_truth import assert_record_matches

from backend.errors import BadInput
from training.datasets import tiny
from training.datasets.registry import build_dataset
from training.datasets.tiny.people import bodies, hands
from training.datasets.tsv import TsvDataset, subject_of, write_lineidx


@pytest.fixture
def folder(tmp_path):
    tiny.write("tsv", tmp_path, count=5)
    return tmp_path / "human3.6m"


def _edit_label(folder, row, **changes):
    path = folder / "train.label.tsv"
    lines = path.read_bytes().splitlines(keepends=True)
    key, text = lines[row].split(b"\t")
    label = json.loads(text)[0]
    label.update(changes)
    for name in [k for k, v in changes.items() if v is ...]:
        del label[name]
    lines[row] = key + b"\t" + json.dumps([label]).encode() + b"\n"
    path.write_bytes(b"".join(lines))
    write_lineidx(path)


def test_records_equal_ground_truth(folder):
    data = TsvDataset(folder / "train.yaml", body="open")
    assert len(data) == 5
    for record, person in zip(data, bodies(5), strict=False):
        assert record.dataset == "human3.6m" and record.joint_set == "metro24"
        assert_record_matches(record, person)
        np.testing.assert_allclose(record.joints3d[14, :3], 0, atol=1e-7)
        np.testing.assert_allclose(record.joints2d[:, :2], person.joints2d("metro24"), atol=1e-3)
        box = person.box()
        np.testing.assert_allclose(record.center, (box[:2] + box[2:]) / 2)
        assert record.side == pytest.approx(1.2 * (box[2:] - box[:2]).max())
        pixels = record.image.read()
        assert pixels.shape == (160, 192, 3) and record.image_size == (192, 160)
        assert np.abs(pixels.astype(float) - person.image()).mean() < 6  # JPEG; RGB, not BGR
    assert [m for m in data.check() if not m.startswith("note")] == []
    assert any("305,476" in m for m in data.check())


def test_hands_have_21_joints(tmp_path):
    data = build_dataset(tiny.write("tsv_hand", tmp_path, count=3))
    for record, person in zip(data, hands(3), strict=False):
        assert record.joint_set == "hand21" and record.pose.shape == (48,)
        assert_record_matches(record, person)
    assert data.check() == []


def test_composite_rows_are_in_the_order_of_the_linelist(tmp_path):
    data = build_dataset(tiny.write("tsv_mix", tmp_path, count=2))
    assert [r.dataset for r in data] == ["human3.6m"] * 2 + ["coco_smpl"] * 2 + ["mpii"] * 2
    assert [r.pose is not None for r in data] == [True] * 4 + [False] * 2
    assert [r.joints3d is not None for r in data] == [True] * 2 + [False] * 4
    assert data[0].key == "train.label.tsv_S1_Walking_000000.jpg"
    assert_record_matches(data[2], bodies(1, seed=1)[0])
    assert data.check() == []


def test_a_composite_with_a_file_list(tmp_path):
    tiny.write("tsv_mix", tmp_path, count=2)
    mix = tmp_path / "Tax-H36m-coco40k-Muco-UP-Mpii"
    text = "\n".join(f"../{n}/train.label.tsv" for n in ("human3.6m", "mpii"))
    (mix / "labels.txt").write_text(text)
    (mix / "two.yaml").write_text("composite: true\nlabel: labels.txt\n")
    data = TsvDataset(mix / "two.yaml")
    assert len(data) == 4 and data[0].image is None and data[0].image_size is None


def test_pickling_closes_files(folder):
    data = TsvDataset(folder / "train.yaml")
    first = data[0]
    copy = pickle.loads(pickle.dumps(data))
    assert copy.sources[0].label._handle is None and data.sources[0].label._handle is not None
    np.testing.assert_array_equal(copy[0].joints2d, first.joints2d)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(first)).image.read(), first.image.read())


def test_keys_outside_ascii_and_plain_sizes_are_read(folder):
    for name in ("label", "hw", "img"):
        path = folder / f"train.{name}.tsv"
        path.write_bytes(path.read_bytes().replace(b"S1_Walking_000002", "S1_Gehen_übung_2".encode()))
        write_lineidx(path)
    hw = folder / "train.hw.tsv"
    lines = hw.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].split(b"\t")[0] + b"\t160 192\n"
    hw.write_bytes(b"".join(lines))
    write_lineidx(hw)
    data = TsvDataset(folder / "train.yaml")
    assert "übung" in data[2].key
    assert_record_matches(data[4], bodies(5)[4])  # a later row: offsets are bytes, not characters
    assert data[3].image_size == (192, 160)


def test_2d_joints_without_their_flag_are_read_only_with_upstream_quirks(folder):
    _edit_label(folder, 1, has_2d_joints=0)
    assert TsvDataset(folder / "train.yaml")[1].joints2d is None
    assert TsvDataset(folder / "train.yaml", upstream_quirks=True)[1].joints2d.shape == (24, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pose": [float("nan")] * 72}, "'pose' contains NaN or infinite values"),
        ({"betas": [0.0] * 9}, "'betas' has shape (9,), expected (10,)"),
        ({"center": ...}, "lacks 'center'"),
        ({"2d_joints": [[[0, 0, 1]] * 23]}, "'2d_joints' has 23 joints"),
        ({"3d_joints": "x"}, "'3d_joints' is not an array of numbers"),
        ({"scale": 0.0}, "a side of 0.0 px"),
        ({"pose": [0.0] * 66}, "expected 72 (SMPL) or 48 (MANO)"),
    ],
)
def test_bad_labels_are_reported(folder, changes, words):
    _edit_label(folder, 3, **changes)
    data = TsvDataset(folder / "train.yaml")
    data[2]
    with pytest.raises(BadInput) as caught:
        data[3]
    assert words in str(caught.value) and "train.label.tsv, row 3" in str(caught.value)
    assert any(words in message for message in data.check())


def test_a_truncated_tsv_is_reported(folder):
    path = folder / "train.label.tsv"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"train\.label\.tsv is cut off"):
        TsvDataset(folder / "train.yaml")
    path.write_bytes(whole[:-300])  # within the last row
    data = TsvDataset(folder / "train.yaml")
    with pytest.raises(BadInput, match="row 4: the label is not complete JSON"):
        data[4]
    assert any("last row may be cut off" in m for m in data.check(max_rows=1))


def test_a_lineidx_of_another_file_is_reported(folder):
    path = folder / "train.label.tsv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0][:-1] + b" \n", *lines[1:]]))
    data = TsvDataset(folder / "train.yaml")
    with pytest.raises(BadInput, match=r"row 1: there is not one row between the offsets.*write_lineidx"):
        data[1]
    assert any("train.lineidx" in m or "label.lineidx" in m for m in data.check(max_rows=1))
    (folder / "train.label.lineidx").write_text("0\nmany\n")
    with pytest.raises(BadInput, match="does not have one byte offset"):
        TsvDataset(folder / "train.yaml")
    (folder / "train.label.lineidx").unlink()
    with pytest.raises(BadInput, match=r"no .*train\.label\.lineidx"):
        TsvDataset(folder / "train.yaml")


def test_offsets_after_the_head_are_checked(folder, monkeypatch):
    monkeypatch.setattr("training.datasets.tsv_file._HEAD", 3000)
    data = TsvDataset(folder / "train.yaml")
    assert [m for m in data.check() if not m.startswith("note")] == []
    data.sources[0].label.offsets[4] += 1
    assert any("label.lineidx, row 4: not the offset" in m for m in data.problems())


def test_images_of_other_rows_and_corrupt_images_are_reported(folder):
    path = folder / "train.img.tsv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[2], lines[1], lines[3][:60] + b"\n", lines[4]]))
    write_lineidx(path)
    data = TsvDataset(folder / "train.yaml")
    with pytest.raises(BadInput, match=r"row 1: it is of 'S1_Walking_000002\.jpg', but the label"):
        data[1].image.read()
    with pytest.raises(BadInput, match=r"row 3: the image (is not base64|cannot be decoded)"):
        data[3].image.read()
    assert len(data.check(max_rows=5)) == 4  # three rows and the note


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("img: a.tsv\n", "names no `label`"),
        ("- 1\n", "not a YAML table"),
        ("label: none.tsv\n", "There is no"),
        ("label: train.label.tsv\nlinelist: list.tsv\n", "requests row 9 of source 0"),
        ("composite: true\ncomposite: false\n", "found duplicate key"),
        ("composite: true\nlabel: [train.label.tsv]\nimg: [a, b]\n", "different numbers of files"),
    ],
)
def test_bad_yaml_is_reported(folder, text, words):
    (folder / "list.tsv").write_text("0\n9\n")
    (folder / "bad.yaml").write_text(text)
    with pytest.raises(BadInput, match=words):
        TsvDataset(folder / "bad.yaml")


def test_check_finds_another_body_model(folder):
    for row in range(5):
        _edit_label(folder, row, pose=[0.9] * 72)
    assert any("belong to another body" in m for m in TsvDataset(folder / "train.yaml", body="open").check())


def test_subsets(folder):
    config = {"kind": "tsv", "path": folder / "train.yaml"}
    full = build_dataset(config)
    assert [r.key for r in build_dataset({**config, "every": 2, "first": 2})] == [full[0].key, full[2].key]
    assert {r.subject for r in build_dataset({**config, "subjects": ["S2"]})} == {"S2"}
    with pytest.raises(BadInput, match=r"no rows of S7.*S1, S2"):
        build_dataset({**config, "subjects": ["S7"]})
    with pytest.raises(BadInput, match="has no option colour"):
        build_dataset({**config, "colour": 1})
    with pytest.raises(BadInput, match="no kind of data set 'tvs'"):
        build_dataset({"kind": "tvs"})
    with pytest.raises(IndexError):
        full[5]


def test_subjects_of_keys():
    assert subject_of("S9_Walking 1.54138969_000001.jpg") == "S9"
    assert subject_of("imageFiles/downtown_bus_00/image_00001.jpg") == "downtown_bus_00"


def test_synthetic_sets_have_camera_trans_and_box(folder):
    person = bodies(3)[2]
    extra = {"trans": person.trans.tolist(), "camera": person.camera.tolist(), "box": person.box().tolist()}
    _edit_label(folder, 2, **extra, **{"3d_joints": np.c_[person.joints3d("metro24"), np.ones(24)].tolist()})
    data = build_dataset({"kind": "synthetic", "path": "human3.6m/train.yaml", "body": "open"}, root=folder.parent)
    assert_record_matches(data[2], person)
    np.testing.assert_allclose(data[2].box, person.box(), atol=1e-4)
    assert data[1].trans is None and data[1].camera is None
