"""The small Pose2Mesh: embedded weights, recovery of a photo, and refused inputs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.body.loader import load_body
from backend.body.procrustes import pa_mpjpe
from backend.cli import main
from backend.errors import BadInput
from backend.models.pose2mesh_small.adapter import ADAPTER
from backend.models.pose2mesh_small.network import INPUTS, features
from backend.models.pose2mesh_small.refined_landmarks import LandmarkLifter
from backend.models.registry import PLAIN_FIT, available_models, get_model
from backend.models.spec import network
from backend.models.weights import faces_hash, load_network, make_test_weights
from backend.models.weights_files import EMBEDDED, find_weights, read_card
from backend.structures import DetectedPerson

NAME = "pose2mesh-small"
PHOTO = Path(__file__).parents[2] / "data" / "rendered_person.jpg"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home without imported weights, so that the embedded ones are used."""
    monkeypatch.setenv("RECOVER_MESH_HOME", str(tmp_path / "home"))
    return tmp_path


def detection(keypoint_set="blazepose33", count=33):
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(50, 200, (count, 2)), np.ones((count, 1))], 1).astype(np.float32)
    world = rng.normal(0, 0.3, (count, 3)).astype(np.float32)
    return DetectedPerson(np.float32([50, 50, 200, 200]), 0.9, points, world, keypoint_set)


def test_the_embedded_weights_are_those_of_their_card():
    path = EMBEDDED / f"{NAME}.safetensors"
    card = json.loads((EMBEDDED / f"{NAME}.json").read_text())
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["bytes"] == path.stat().st_size < 25e6
    assert card["licence"].startswith("CC0-1.0")
    body = load_body("open")
    info = read_card(path)
    assert info.faces == faces_hash(body) == card["body_faces"]
    assert (info.name, info.body, info.testing) == (NAME, body.name, False)
    assert find_weights(NAME) == path


def test_it_is_ready_with_the_embedded_weights():
    listed = {spec.name: spec for spec in available_models()}
    assert listed[NAME].ready and not listed[NAME].testing and "CC0" in listed[NAME].license
    assert listed[PLAIN_FIT].ready


def test_recover_with_the_embedded_weights(home, capsys):
    """The network alone recovers a body near the ground truth."""
    assert main(["recover", str(PHOTO), "--model", NAME, "--out", str(home / "out")]) == 0
    with np.load(home / "out" / f"{PHOTO.stem}_person1.npz") as file:
        pred = {name: file[name] for name in ("poses", "joints", "betas")}
        model = str(file["model"])
    with np.load(PHOTO.with_suffix(".npz")) as file:
        posed = load_body("open")(
            *(torch.as_tensor(file[n][None], dtype=torch.float32) for n in ("poses", "betas", "trans"))
        )
        gt = posed.joints.double().numpy()
    assert model == NAME and pred["poses"].shape == (1, 72)
    assert pa_mpjpe(pred["joints"].astype(np.float64), gt).mean() < 70


def test_vertices_do_not_depend_on_position_size_and_batch():
    loaded = load_network(NAME)
    one, other = detection(), detection()
    other.keypoints2d[:, :2] = 2 * other.keypoints2d[:, :2] + [300, -20]
    with torch.inference_mode():
        both = loaded.module(torch.from_numpy(ADAPTER.encode([one, other])))["vertices"]
        alone = loaded.module(torch.from_numpy(ADAPTER.encode([one])))["vertices"]
    assert both.shape == (2, 6890, 3)
    torch.testing.assert_close(both[0], both[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(both[:1], alone, atol=1e-5, rtol=0)


def test_features_without_3d_are_flagged():
    person = detection()
    alone = features(person.keypoints2d[None].astype(float), None)
    assert alone.shape == (1, INPUTS) and alone[0, -1] == 0 and not alone[0, 99:].any()


def test_other_keypoints_are_refused():
    with pytest.raises(BadInput, check=lambda error: error.code == "wrong_keypoints"):
        ADAPTER.encode([detection("coco17", 17)])
    with pytest.raises(BadInput, check=lambda error: error.code == "nothing_to_import"):
        ADAPTER.convert(network(NAME), {}, None, [])


def test_the_lifter_refines_blazepose33_only():
    lifter = LandmarkLifter.embedded()
    coco, blazepose = detection("coco17", 17), detection()
    first, second = lifter.refine([coco, blazepose])
    assert first is coco
    assert second.keypoints3d.shape == (33, 3) and np.isfinite(second.keypoints3d).all()
    assert (second.keypoints3d != blazepose.keypoints3d).any()
    np.testing.assert_array_equal(second.keypoints2d, blazepose.keypoints2d)
    assert lifter.refine([]) == []
    assert lifter.landmarks(np.zeros((0, 33, 3)), np.zeros((0, 33, 3))).shape == (0, 33, 3)


def test_imported_weights_come_first_but_do_not_guide_the_fit():
    path, card = make_test_weights(NAME)
    assert find_weights(NAME) == path and card.testing and get_model(NAME).testing
    guide = get_model("keypoint-fit").load("cpu")._guide  # type: ignore[attr-defined]
    assert guide is None or not guide.network.network.card.testing
