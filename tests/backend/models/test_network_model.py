"""A network in the pipeline: whatever it predicts stands in the photo where it saw it, left hands included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from backend.body.loader import load_body
from backend.geometry.rotations import matrix_from_axis_angle
from backend.models.adapter import Prediction
from backend.models.inference import network_model
from backend.models.inference.network_model import NetworkModel
from backend.models.registry import get_model
from backend.models.spec import network
from backend.models.weights import LoadedNetwork
from backend.models.weights_files import Card
from backend.structures import Camera, DetectedPerson

CAMERA = Camera(900.0, 900.0, 399.5, 299.5, 800, 600)


class Oracle:
    """An adapter whose network knows the answer: it tells a body as a network would, from its crop alone."""

    def __init__(self, vertices, camera=None, keypoints=None):
        self.answer = Prediction(vertices, camera, keypoints=keypoints)

    def input_size(self, spec):
        return (224, 224) if self.answer.camera is not None else None

    def pose_set(self, spec):
        return None if self.answer.camera is not None else "coco"

    def predict(self, module, inputs, body):
        count = len(inputs)
        take = {name: value[:count] for name, value in vars(self.answer).items() if value is not None}
        return Prediction(**take)


@pytest.fixture(scope="module")
def body():
    return load_body("open")


def standing(body, turn=0.4, distance=(0.6, 0.1, 5.0)):
    """Vertices (V, 3) in the camera frame of somebody who faces the camera, and poses, betas, trans."""
    poses = 0.15 * torch.randn(1, 24, 3, generator=torch.Generator().manual_seed(3))
    rotations = matrix_from_axis_angle(poses)
    upright = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    rotations[:, 0] = matrix_from_axis_angle(torch.tensor([[0.0, turn, 0.0]])) @ upright
    betas = 0.7 * torch.randn(1, 10, generator=torch.Generator().manual_seed(4))
    root = body.rest_joints(betas)[:, 0]
    trans = torch.tensor([distance]) - root
    return body(None, betas, trans, rotations=rotations), rotations, betas, trans


def seen_as(points, names_set="coco17", side=""):
    pixels = CAMERA.project(points)
    keypoints = np.concatenate([pixels, np.ones((len(pixels), 1))], 1).astype(np.float32)
    box = np.concatenate([pixels.min(0), pixels.max(0)]).astype(np.float32)
    return DetectedPerson(box, 1.0, keypoints, np.zeros((len(points), 3), np.float32), names_set, side)


def model_of(monkeypatch, body, oracle, name="fastmetro-s-r50"):
    card = Card(name, body.name, "", "CC0-1.0", "oracle")
    loaded = LoadedNetwork(network(name), oracle, nn.Identity(), body, card)
    monkeypatch.setattr(network_model, "load_network", lambda name, device: loaded)
    return NetworkModel(get_model(name), "cpu")


def test_weak_perspective_answers_are_placed_in_the_photos_camera(body, monkeypatch):
    posed, rotations, betas, _trans = standing(body)
    vertices, joints = posed.vertices[0].double().numpy(), posed.joints[0].double().numpy()
    person = seen_as(body.regressors["coco17"].double().numpy() @ vertices)
    # what an ideal network says: the body turned as its crop shows it, and the best weak-perspective camera
    from backend.models.crops import crop_around
    from backend.models.inference.translation_solve import rotation_to_ray

    crop = crop_around(person, "body", 1.0)
    ray = rotation_to_ray(crop.centre, CAMERA)
    local = (vertices - vertices.mean(0)) @ ray
    places = (CAMERA.project(joints) - crop.centre) / (crop.height / 2)
    seen = (joints - vertices.mean(0)) @ ray
    system = np.zeros((48, 3))
    system[0::2, 0], system[1::2, 0] = seen[:, 0], seen[:, 1]
    system[0::2, 1] = system[1::2, 2] = 1
    s, sx, sy = np.linalg.lstsq(system, places.ravel(), rcond=None)[0]
    camera = torch.tensor([[s, sx / s, sy / s]], dtype=torch.float32)
    oracle = Oracle(torch.as_tensor(local, dtype=torch.float32)[None], camera)
    (found,) = model_of(monkeypatch, body, oracle).recover(np.zeros((600, 800, 3), np.uint8), [person], CAMERA)
    # perspective is not in a weak-perspective answer: a few pixels, a few per cent of depth
    gap = np.linalg.norm(CAMERA.project(found.vertices) - CAMERA.project(vertices), axis=1)
    assert gap.mean() < 3
    assert abs(found.joints[:, 2].mean() / joints[:, 2].mean() - 1) < 0.03
    turned = matrix_from_axis_angle(torch.as_tensor(found.poses))
    assert (turned[1:] - rotations[0, 1:]).abs().max() < 0.01
    assert (turned[0] - rotations[0, 0]).abs().max() < 0.03
    np.testing.assert_allclose(found.betas, betas[0], atol=0.02)
    assert found.confidence.min() > 0.5
    assert found.reprojection_relative < 0.01
    again = body(*(torch.as_tensor(getattr(found, n))[None] for n in ("poses", "betas", "trans")))
    assert (again.vertices[0] - torch.as_tensor(found.vertices)).norm(dim=-1).max() < 1e-4


def test_lifted_poses_are_placed_by_the_keypoints(body, monkeypatch):
    posed, _rotations, *_ = standing(body)
    vertices = posed.vertices[0].double().numpy()
    coco = body.regressors["coco17"].double().numpy() @ vertices
    full = np.concatenate([coco, [(coco[11] + coco[12]) / 2, (coco[5] + coco[6]) / 2]])
    pelvis = full[17]
    oracle = Oracle(
        torch.as_tensor(vertices - pelvis, dtype=torch.float32)[None],
        keypoints=torch.as_tensor(full - pelvis, dtype=torch.float32)[None],
    )
    # turned back by the ray, as a lifter that knows no camera answers
    from backend.models.inference.translation_solve import rotation_to_ray

    ray = rotation_to_ray(CAMERA.project(full).mean(0), CAMERA)
    oracle.answer = Prediction(
        torch.as_tensor((vertices - pelvis) @ ray, dtype=torch.float32)[None],
        keypoints=torch.as_tensor((full - pelvis) @ ray, dtype=torch.float32)[None],
    )
    model = model_of(monkeypatch, body, oracle, "pose2mesh-coco")
    (found,) = model.recover(np.zeros((600, 800, 3), np.uint8), [seen_as(coco)], CAMERA)
    assert np.linalg.norm(found.vertices - vertices, axis=1).max() < 2e-3


def test_left_hands_are_mirrored_right_hands(body, monkeypatch):
    """A mirrored photo of a right hand gives the mirror image of its answer."""
    posed, *_ = standing(body, distance=(0.3, 0.1, 5.0))
    vertices = posed.vertices[0].double().numpy()
    points = body.regressors["coco17"].double().numpy() @ vertices
    flip = np.array([-1.0, 1.0, 1.0])
    camera = torch.tensor([[0.9, 0.0, 0.0]])
    centred = torch.as_tensor(vertices - vertices.mean(0), dtype=torch.float32)[None]
    model = model_of(monkeypatch, body, Oracle(centred, camera))
    photo = np.zeros((600, 800, 3), np.uint8)
    (right,) = model.recover(photo, [seen_as(points, side="right")], CAMERA)
    (left,) = model.recover(photo, [seen_as(points * flip, side="left")], CAMERA)
    assert (right.mirrored, left.mirrored) == (False, True)
    np.testing.assert_allclose(left.vertices, right.vertices * flip, atol=2e-3)
    np.testing.assert_allclose(left.betas, right.betas, atol=1e-3)
    mirrored = matrix_from_axis_angle(torch.as_tensor(left.poses)).numpy()
    plain = matrix_from_axis_angle(torch.as_tensor(right.poses)).numpy()
    np.testing.assert_allclose(mirrored[1:], plain[1:] * np.outer(flip, flip), atol=1e-3)


def test_nobody_is_an_answer(body, monkeypatch):
    model = model_of(monkeypatch, body, Oracle(torch.zeros(1, 6890, 3), torch.zeros(1, 3)))
    assert model.recover(np.zeros((600, 800, 3), np.uint8), [], CAMERA) == []


def test_a_camera_that_cannot_be_meant_still_gives_a_body_in_view(body, monkeypatch):
    posed, *_ = standing(body)
    vertices = posed.vertices[0].double().numpy()
    person = seen_as(body.regressors["coco17"].double().numpy() @ vertices)
    centred = torch.as_tensor(vertices - vertices.mean(0), dtype=torch.float32)[None]
    for bad in ([-0.5, 0, 0], [float("nan"), 0, 0], [1e6, 0, 0], [1e-9, 0, 0]):
        oracle = Oracle(centred, torch.tensor([bad]))
        (found,) = model_of(monkeypatch, body, oracle).recover(np.zeros((600, 800, 3), np.uint8), [person], CAMERA)
        assert np.isfinite(found.vertices).all()
        assert found.vertices[:, 2].min() > 0.2
        middle = CAMERA.project(found.vertices.mean(0))
        assert np.linalg.norm(middle - (person.box[:2] + person.box[2:]) / 2) < 60
