"""Embedded weights of the small image networks: cards, hashes, and recovery of a photo."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from backend.body.loader import load_body
from backend.body.procrustes import pa_mpjpe
from backend.cli import main
from backend.models.inference.network_model import NetworkModel
from backend.models.registry import available_models, get_model
from backend.models.spec import network
from backend.models.weights import faces_hash
from backend.models.weights_files import EMBEDDED, find_weights, read_card
from backend.structures import Camera, DetectedPerson

NAMES = ("fastmetro-small", "smpler-small", "deformer-small")
PHOTO = Path(__file__).parents[2] / "data" / "rendered_person.jpg"
RESULTS = Path(__file__).parents[3] / "docs" / "training-results"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home without imported weights, so that the embedded ones are used."""
    monkeypatch.setenv("RECOVER_MESH_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_are_those_of_their_card_and_results(name):
    path = EMBEDDED / f"{name}.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    card = (EMBEDDED / f"{name}.md").read_text(encoding="utf-8")
    results = json.loads((RESULTS / name / "results.json").read_text(encoding="utf-8"))
    assert digest in card and results["weights_sha256"] == digest
    for measure, value in results["metrics"].items():
        assert re.search(rf"\| {re.escape(measure.partition('/')[2])} \| {value:.1f} mm", card)
    assert path.stat().st_size < 25 << 20 and find_weights(name) == path
    info, body = read_card(path), load_body("open")
    assert (info.name, info.body, info.testing, info.faces) == (name, body.name, False, faces_hash(body))
    assert name in (EMBEDDED / "NOTICE.md").read_text(encoding="utf-8")  # it contains MediaPipe's backbone
    listed = {spec.name: spec for spec in available_models()}
    assert listed[name].ready and not listed[name].testing


@pytest.mark.parametrize("name", [NAMES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:])])
def test_poses_are_better_than_the_mean_pose(name, home):
    """On an image by another renderer, in a pose that no training image has."""
    assert main(["recover", str(PHOTO), "--model", name, "--out", str(home / "out")]) == 0
    with np.load(home / "out" / f"{PHOTO.stem}_person1.npz") as file:
        pred, model = file["joints"][0].astype(np.float64), str(file["model"])
    with np.load(PHOTO.with_suffix(".npz")) as file:
        gt, mean_pose = (
            load_body("open")(
                torch.as_tensor(poses[None], dtype=torch.float32),
                torch.as_tensor(file["betas"][None], dtype=torch.float32),
            ).joints.double().numpy()
            for poses in (file["poses"], np.zeros_like(file["poses"]))
        )  # fmt: skip
    assert model == name
    error, baseline = (pa_mpjpe(joints, gt).mean() for joints in (pred[None], mean_pose))
    assert error < 100 < baseline, (error, baseline)


def test_keypoints_give_the_translation_where_the_camera_is_rough():
    """With too few visible keypoints, the network's own camera gives it."""
    model = NetworkModel(get_model("fastmetro-small"), "cpu")
    assert model.network.spec.rough_camera and not network("fastmetro-s-r50").rough_camera
    pixels = cv2.imread(str(PHOTO))[..., ::-1]
    with np.load(PHOTO.with_suffix(".npz")) as file:
        camera = Camera(*file["camera"], *(int(n) for n in file["image_size"]))
        body = load_body("open")
        posed = body(*(torch.as_tensor(file[n][None], dtype=torch.float32) for n in ("poses", "betas", "trans")))
    points = (body.regressors["blazepose33"] @ posed.vertices[0]).double().numpy()
    many = np.concatenate([camera.project(points), np.ones((33, 1))], 1).astype(np.float32)
    box = np.float32([*many[:, :2].min(0), *many[:, :2].max(0)])
    few = many.copy()
    few[[k for k in range(33) if k not in (0, 11, 12, 27, 28)], 2] = 0
    people = [
        DetectedPerson(box, 1.0, keypoints, np.zeros((33, 3), np.float32), "blazepose33") for keypoints in (many, few)
    ]
    (by_keypoints,), (with_few,) = (model.recover(pixels, [person], camera) for person in people)
    model.network = dataclasses.replace(model.network, spec=dataclasses.replace(model.network.spec, rough_camera=False))
    (by_camera,), (few_by_camera,) = (model.recover(pixels, [person], camera) for person in people)
    assert by_keypoints.reprojection_relative < 0.9 * by_camera.reprojection_relative < 0.05
    np.testing.assert_array_equal(by_keypoints.poses[1:], by_camera.poses[1:])
    np.testing.assert_array_equal(with_few.vertices, few_by_camera.vertices)
