"""A network as a recovery model: its bodies project onto the photo where the network saw them, left hands included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from backend.body.loader import load_body
from backend.geometry.rotations import matrix_from_axis_angle
from backend.models.adapter import Prediction
from backend.models.crops import crop_around
from backend.models.inference import network_model
from backend.models.inference.network_model import NetworkModel
from backend.models.inference.translation_solve import rotation_to_ray
from backend.models.registry import get_model
from backend.models.spec import network
from backend.models.weights import LoadedNetwork
from backend.models.weights_files import Card
from backend.structures import Camera, DetectedPerson

CAMERA = Camera(900.0, 900.0, 399.5, 299.5, 800, 600)


class Oracle:
    """An adapter whose network predicts the given body; its input is a crop if there is a camera, else a pose."""

    def __init__(self, vertices, camera=None, keypoints=None):
        self.prediction = Prediction(vertices, camera, keypoints=keypoints)

    def input_size(self, spec):
        return (224, 224) if self.prediction.camera is not None else None

    def pose_set(self, spec):
        return None if self.prediction.camera is not None else "coco"

    def predict(self, module, inputs, body):
        count = len(inputs)
        return Prediction(**{n: value[:count] for n, value in vars(self.prediction).items() if value is not None})


@pytest.fixture(scope="module")
def body():
    return load_body("open")


def standing(body, yaw=0.4, distance=(0.6, 0.1, 5.0)):
    """A person who faces the camera, in the camera frame: the posed body, rotations, betas, trans."""
    poses = 0.15 * torch.randn(1, 24, 3, generator=torch.Generator().manual_seed(3))
    rotations = matrix_from_axis_angle(poses)
    upright = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    rotations[:, 0] = matrix_from_axis_angle(torch.tensor([[0.0, yaw, 0.0]])) @ upright
    betas = 0.7 * torch.randn(1, 10, generator=torch.Generator().manual_seed(4))
    root = body.rest_joints(betas)[:, 0]
    trans = torch.tensor([distance]) - root
    return body(None, betas, trans, rotations=rotations), rotations, betas, trans


def detection_of(points, keypoint_set="coco17", side=""):
    """A detection whose keypoints are the projections of points (K, 3)."""
    pixels = CAMERA.project(points)
    keypoints = np.concatenate([pixels, np.ones((len(pixels), 1))], 1).astype(np.float32)
    box = np.concatenate([pixels.min(0), pixels.max(0)]).astype(np.float32)
    return DetectedPerson(box, 1.0, keypoints, np.zeros((len(points), 3), np.float32), keypoint_set, side)


def model_of(monkeypatch, body, oracle, name="fastmetro-s-r50"):
    card = Card(name, body.name, "", "CC0-1.0", "oracle")
    loaded = LoadedNetwork(network(name), oracle, nn.Identity(), body, card)
    monkeypatch.setattr(network_model, "load_network", lambda *_: loaded)
    return NetworkModel(get_model(name), "cpu")


def test_weak_perspective_predictions_project_onto_the_photo(body, monkeypatch):
    posed, rotations, betas, _trans = standing(body)
    vertices, joints = posed.vertices[0].double().numpy(), posed.joints[0].double().numpy()
    person = detection_of(body.regressors["coco17"].double().numpy() @ vertices)
    # prediction of an ideal network: the body rotated as in its crop, and the best weak-perspective camera
    crop = crop_around(person, "body", 1.0)
    ray = rotation_to_ray(crop.centre, CAMERA)
    local = (vertices - vertices.mean(0)) @ ray
    in_crop = (CAMERA.project(joints) - crop.centre) / (crop.height / 2)
    local_joints = (joints - vertices.mean(0)) @ ray
    system = np.zeros((48, 3))
    system[0::2, 0], system[1::2, 0] = local_joints[:, 0], local_joints[:, 1]
    system[0::2, 1] = system[1::2, 2] = 1
    s, sx, sy = np.linalg.lstsq(system, in_crop.ravel(), rcond=None)[0]
    camera = torch.tensor([[s, sx / s, sy / s]], dtype=torch.float32)
    oracle = Oracle(torch.as_tensor(local, dtype=torch.float32)[None], camera)
    (pred,) = model_of(monkeypatch, body, oracle).recover(np.zeros((600, 800, 3), np.uint8), [person], CAMERA)
    # weak perspective has no perspective: a few pixels, a few per cent of depth
    gap = np.linalg.norm(CAMERA.project(pred.vertices) - CAMERA.project(vertices), axis=1)
    assert gap.mean() < 3
    assert abs(pred.joints[:, 2].mean() / joints[:, 2].mean() - 1) < 0.03
    pred_rotations = matrix_from_axis_angle(torch.as_tensor(pred.poses))
    assert (pred_rotations[1:] - rotations[0, 1:]).abs().max() < 0.01
    assert (pred_rotations[0] - rotations[0, 0]).abs().max() < 0.03
    np.testing.assert_allclose(pred.betas, betas[0], atol=0.02)
    assert pred.confidence.min() > 0.5
    assert pred.reprojection_relative < 0.01
    again = body(*(torch.as_tensor(getattr(pred, n))[None] for n in ("poses", "betas", "trans")))
    assert (again.vertices[0] - torch.as_tensor(pred.vertices)).norm(dim=-1).max() < 1e-4


def test_keypoints_give_the_translation_of_lifted_poses(body, monkeypatch):
    posed, _rotations, *_ = standing(body)
    vertices = posed.vertices[0].double().numpy()
    coco = body.regressors["coco17"].double().numpy() @ vertices
    full = np.concatenate([coco, [(coco[11] + coco[12]) / 2, (coco[5] + coco[6]) / 2]])
    pelvis = full[17]
    # in the axes of the ray: a lifter's input has no camera
    ray = rotation_to_ray(CAMERA.project(full).mean(0), CAMERA)
    oracle = Oracle(
        torch.as_tensor((vertices - pelvis) @ ray, dtype=torch.float32)[None],
        keypoints=torch.as_tensor((full - pelvis) @ ray, dtype=torch.float32)[None],
    )
    model = model_of(monkeypatch, body, oracle, "pose2mesh-coco")
    (pred,) = model.recover(np.zeros((600, 800, 3), np.uint8), [detection_of(coco)], CAMERA)
    assert np.linalg.norm(pred.vertices - vertices, axis=1).max() < 2e-3


def test_left_hands_are_mirrored_right_hands(body, monkeypatch):
    """A mirrored photo of a right hand gives the mirrored result."""
    posed, *_ = standing(body, distance=(0.3, 0.1, 5.0))
    vertices = posed.vertices[0].double().numpy()
    points = body.regressors["coco17"].double().numpy() @ vertices
    flip = np.array([-1.0, 1.0, 1.0])
    camera = torch.tensor([[0.9, 0.0, 0.0]])
    centred = torch.as_tensor(vertices - vertices.mean(0), dtype=torch.float32)[None]
    model = model_of(monkeypatch, body, Oracle(centred, camera))
    photo = np.zeros((600, 800, 3), np.uint8)
    (right,) = model.recover(photo, [detection_of(points, side="right")], CAMERA)
    (left,) = model.recover(photo, [detection_of(points * flip, side="left")], CAMERA)
    assert (right.mirrored, left.mirrored) == (False, True)
    np.testing.assert_allclose(left.vertices, right.vertices * flip, atol=2e-3)
    np.testing.assert_allclose(left.betas, right.betas, atol=1e-3)
    mirrored = matrix_from_axis_angle(torch.as_tensor(left.poses)).numpy()
    plain = matrix_from_axis_angle(torch.as_tensor(right.poses)).numpy()
    np.testing.assert_allclose(mirrored[1:], plain[1:] * np.outer(flip, flip), atol=1e-3)


def test_no_people_give_no_bodies(body, monkeypatch):
    model = model_of(monkeypatch, body, Oracle(torch.zeros(1, 6890, 3), torch.zeros(1, 3)))
    assert model.recover(np.zeros((600, 800, 3), np.uint8), [], CAMERA) == []


def test_an_implausible_camera_still_gives_a_body_in_view(body, monkeypatch):
    posed, *_ = standing(body)
    vertices = posed.vertices[0].double().numpy()
    person = detection_of(body.regressors["coco17"].double().numpy() @ vertices)
    centred = torch.as_tensor(vertices - vertices.mean(0), dtype=torch.float32)[None]
    for bad in ([-0.5, 0, 0], [float("nan"), 0, 0], [1e6, 0, 0], [1e-9, 0, 0]):
        oracle = Oracle(centred, torch.tensor([bad]))
        (pred,) = model_of(monkeypatch, body, oracle).recover(np.zeros((600, 800, 3), np.uint8), [person], CAMERA)
        assert np.isfinite(pred.vertices).all()
        assert pred.vertices[:, 2].min() > 0.2
        middle = CAMERA.project(pred.vertices.mean(0))
        assert np.linalg.norm(middle - (person.box[:2] + person.box[2:]) / 2) < 60
