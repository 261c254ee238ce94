"""Images and labels: consistent with each other, in METRO's format, reproducible bit by bit."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import torch

from backend.body.loader import load_body
from backend.errors import BadInput
from training.datasets.joint_sets import METRO24
from training.synthetic import dataset_writer
from training.synthetic.dataset_writer import SHARD, Settings, write_dataset
from training.synthetic.renderer import NumpyRenderer, make_renderer
from training.synthetic.studios import make_studio


@pytest.fixture(scope="module", params=["body", "hand"])
def studio(request):
    return make_studio(request.param, 96, "numpy")


@pytest.fixture(scope="module")
def samples(studio):
    return studio.shard(0, 0, 0, 6)


def decoded(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def _skinned(studio, sample) -> np.ndarray:
    """(V, 3) m, camera frame, from the label alone."""
    label = sample.label
    pose = torch.tensor(label["pose"]).reshape(1, -1, 3)
    with torch.inference_mode():
        posed = studio.body(pose, torch.tensor([label["betas"]]), torch.tensor([label["trans"]]))
    return posed.vertices[0].double().numpy()


def test_pose_betas_and_trans_give_the_joints_written(studio, samples):
    for sample in samples:
        label = sample.label
        joints = studio.regressor @ _skinned(studio, sample)
        there = np.array(label["3d_joints"]).reshape(-1, 4)
        np.testing.assert_allclose(joints, there[:, :3], atol=2e-4)
        fx, fy, cx, cy = label["camera"]
        uv = joints[:, :2] / joints[:, 2:] * [fx, fy] + [cx, cy]
        np.testing.assert_allclose(uv, np.array(label["2d_joints"]).reshape(-1, 3)[:, :2], atol=0.05)


def test_the_projected_body_covers_the_drawn_one(studio, samples):
    """The label's silhouette is inside its box, and the image is not uniform there."""
    renderer = NumpyRenderer(studio.body.faces.numpy(), 96)
    for sample in samples:
        vertices = _skinned(studio, sample)
        layer = renderer.draw(vertices, np.full((len(vertices), 3), 255.0), np.array(sample.label["camera"]))
        inside = layer[..., 3] > 0
        rows, columns = np.nonzero(inside)
        x0, y0, x1, y1 = sample.label["box"]
        assert columns.min() >= x0 - 1 and columns.max() <= x1 + 1 and rows.min() >= y0 - 1 and rows.max() <= y1 + 1
        image = decoded(sample.jpeg)
        assert image.shape == (96, 96, 3)
        assert image[inside].std() > 3


def test_labels_have_metros_fields(studio, samples):
    count = 21 if studio.part == "hand" else 24
    for sample in samples:
        label = json.loads(json.dumps(sample.label))
        joints = {"2d_joints", "has_2d_joints", "3d_joints", "has_3d_joints"}
        assert {"center", "scale", "pose", "betas", "has_smpl"} | joints <= set(label)
        assert np.array(label["2d_joints"]).reshape(-1, 3).shape == (count, 3)
        assert len(label["pose"]) == (48 if studio.part == "hand" else 72) and len(label["betas"]) == 10
    if studio.part == "body":
        names = {n: k for k, n in enumerate(METRO24)}
        rest = studio.regressor @ studio.body.v_template.double().numpy()
        assert rest[names["right_wrist"], 0] < -0.5 < 0.5 < rest[names["left_wrist"], 0]  # the person's right is at -x
        heights = [rest[names[name], 1] for name in ("head_top", "nose", "pelvis", "left_ankle")]
        assert heights == sorted(set(heights), reverse=True)


def test_bodies_are_on_the_floor_or_jump(studio, samples):
    if studio.part == "hand":
        pytest.skip("hands have no floor")
    for sample in samples:
        arrays = sample.arrays
        world = (_skinned(studio, sample) - arrays["camera_translation"]) @ arrays["camera_rotation"]
        assert world[:, 1].min() > -2e-3
        archetype = next(a for a in studio.sampler.archetypes if a.name == str(arrays["archetype"]))
        if archetype.support != "air":
            assert world[:, 1].min() < 2e-3


def test_numpy_and_opengl_renderers_agree():
    try:
        gl = make_renderer(load_body("open").faces.numpy(), 128, 6890, "gl")
    except BadInput:
        pytest.skip("no OpenGL with EGL")
    body = load_body("open")
    plain = make_renderer(body.faces.numpy(), 128, 6890, "numpy")
    vertices = body.v_template.numpy() * [1, -1, -1] + [0, 0, 2.6]
    colours = np.random.default_rng(0).uniform(0, 255, vertices.shape)
    camera = np.array([160.0, 150.0, 60.0, 66.5])
    a, b = (r.draw(vertices, colours, camera).astype(int) for r in (gl, plain))
    inside = b[..., 3] > 0
    assert inside.sum() > 1500
    assert (inside != (a[..., 3] > 0)).sum() <= 0.005 * inside.sum()
    both = inside & (a[..., 3] > 0)
    different = np.abs(a - b)[both].max(1)
    assert np.median(different) <= 1 and (different > 4).mean() < 0.01


SMALL = {"count": 10, "size": 48, "seed": 1, "renderer": "numpy"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("set") / "body"
    return out, write_dataset(out, **SMALL)


def test_files_are_metros(finished):
    out, card = finished
    assert card["splits"] == {"train": 8, "val": 1, "test": 1} and card["licence"] == "CC0-1.0"
    names = dict(line.split(": ") for line in (out / "train.yaml").read_text().splitlines())
    assert names == {k: f"train.{k}.tsv" for k in ("img", "hw", "label", "linelist")}
    for kind in ("img", "hw", "label"):
        raw = (out / names[kind]).read_bytes()
        offsets = [int(v) for v in (out / f"train.{kind}.lineidx").read_text().split()]
        assert len(offsets) == 8 and raw[offsets[3] :].split(b"\t")[0] == b"body_train_00000_003"
    lines = (out / names["img"]).read_bytes().splitlines()
    image = decoded(base64.b64decode(lines[3].split(b"\t")[1]))
    assert image.shape == (48, 48, 3)
    label = json.loads((out / names["label"]).read_bytes().splitlines()[3].split(b"\t")[1])
    with np.load(out / "train.npz", allow_pickle=False) as arrays:
        assert arrays["key"][3] == "body_train_00000_003" and len(arrays["pose"]) == 8
        np.testing.assert_allclose(arrays["pose"][3].ravel(), label[0]["pose"], atol=1e-5)
    assert "CC0" in (out / "README.md").read_text()


def test_splits_have_nothing_in_common(finished):
    out, _ = finished
    poses = [np.load(out / f"{s}.npz", allow_pickle=False)["pose"].reshape(-1, 72) for s in ("train", "val", "test")]
    everything = np.concatenate(poses)
    assert len(np.unique(everything.round(3), axis=0)) == len(everything)


def test_the_same_seed_gives_the_same_bytes_and_a_killed_run_resumes(finished, tmp_path, monkeypatch):
    _, card = finished
    monkeypatch.setattr(dataset_writer, "_merge_shards", lambda out, settings: {})  # as if killed before the merge
    write_dataset(tmp_path, **SMALL)
    shards = sorted((tmp_path / "shards").iterdir())
    assert len(shards) == 3 and not (tmp_path / "card.json").exists()
    shards[1].unlink()
    left = tmp_path / "shards" / ".part-killed"  # as after a kill
    left.mkdir()
    (left / "train-00000.npz").write_bytes(b"half")
    monkeypatch.undo()
    steps: list[tuple[int, int]] = []
    again = write_dataset(tmp_path, **SMALL, report=lambda *step: steps.append(step))
    assert steps[0][0] in (2, 9)  # resumed, did not start from 0
    assert again["sha256"] == card["sha256"]
    other = write_dataset(tmp_path / "other", count=4, size=48, seed=2, renderer="numpy")
    assert not set(other["sha256"].values()) & {card["sha256"][f"train.{k}.tsv"] for k in ("img", "label")}


@pytest.mark.slow
def test_workers_and_a_real_kill_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_writer, "SHARD", 4)
    settings = {"part": "hand", "count": 14, "size": 32, "seed": 5, "renderer": "numpy"}
    alone = write_dataset(tmp_path / "alone", **settings, workers=1)
    code = (
        "import sys, pathlib; from training.synthetic import dataset_writer as writer; writer.SHARD = 4; "
        f"writer.write_dataset(pathlib.Path(sys.argv[1]), **{settings})"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "killed")])
    shards = tmp_path / "killed" / "shards"
    while not (shards.is_dir() and any(shards.glob("*.npz"))):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and any(shards.glob("*.npz"))  # killed at work
    finished = write_dataset(tmp_path / "killed", **settings, workers=2)
    assert finished["sha256"] == alone["sha256"]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [("count", 2, "bad_count"), ("size", 5, "bad_size"), ("seed", -1, "bad_size"), ("seed", 9, "other_settings")],
)
def test_bad_input_is_refused(finished, name, value, code):
    out, _ = finished
    with pytest.raises(BadInput) as caught:
        write_dataset(out, **(SMALL | {name: value}))
    assert caught.value.code == code and caught.value.hint


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(BadInput) as caught:
        write_dataset(tmp_path / "out", count=4, size=48, renderer="numpy", photos=tmp_path)
    assert caught.value.code == "no_pictures"


def test_the_users_images_are_backgrounds(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((80, 120, 3), (0, 0, 255), np.uint8))
    studio = make_studio("hand", 64, "numpy", tmp_path)
    images = [decoded(s.jpeg) for s in studio.shard(0, 0, 0, 6)]
    red = [(p[..., 2] > 120) & (p[..., :2] < 80).all(-1) for p in images]
    assert sum(r.mean() > 0.2 for r in red) >= 2


def test_shards_cover_all_rows():
    settings = Settings("body", 3 * SHARD + 7, 64, 0, "numpy")
    rows: dict[int, int] = {}
    for split, _, count in settings.shards():
        rows[split] = rows.get(split, 0) + count
    assert list(rows.values()) == list(settings.splits().values()) and sum(rows.values()) == 3 * SHARD + 7
