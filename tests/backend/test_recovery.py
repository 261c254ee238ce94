"""The pipeline on real photos, and its errors."""

from pathlib import Path

import numpy as np
import pytest
import skimage

from backend.errors import BadInput
from backend.recovery import Recoverer, people_limit

ASTRONAUT = str(Path(skimage.__file__).parent / "data" / "astronaut.png")
COFFEE = str(Path(skimage.__file__).parent / "data" / "coffee.png")


@pytest.fixture(scope="module")
def recoverer():
    return Recoverer(device="cpu")


@pytest.fixture(scope="module")
def astronaut(recoverer):
    return recoverer.recover(ASTRONAUT)


def test_the_body_projects_onto_the_person(astronaut):
    assert (astronaut.camera.width, astronaut.camera.height) == (512, 512)
    (person,) = astronaut.people
    assert person.vertices.shape == (6890, 3)
    nose = person.keypoints2d[0, :2]
    head = astronaut.camera.project(person.joints[15])
    face_width = np.linalg.norm(person.keypoints2d[7, :2] - person.keypoints2d[8, :2])
    assert np.linalg.norm(head - nose) < 1.5 * face_width
    assert 0 < person.reprojection_relative < 0.03


def test_vertices_and_joints_follow_from_the_parameters(recoverer, astronaut):
    import torch

    (person,) = astronaut.people
    out = recoverer.model.body(*(torch.tensor(getattr(person, n)[None]) for n in ("poses", "betas", "trans")))
    np.testing.assert_allclose(out.vertices[0].numpy(), person.vertices, atol=1e-5)
    np.testing.assert_allclose(out.joints[0].numpy(), person.joints, atol=1e-5)


def test_joints_outside_the_photo_have_low_confidence(astronaut):
    """The astronaut is cut off at the waist: knees, ankles and feet are outside."""
    (person,) = astronaut.people
    assert person.confidence[[4, 5, 7, 8, 10, 11]].max() < 0.2
    assert person.confidence[[15, 16, 17]].min() > 0.4


def test_a_photo_without_people_has_an_empty_result(recoverer):
    result = recoverer.recover(COFFEE)
    assert result.people == []
    assert set(result.seconds) == {"decode", "detect", "fit"}


def test_bytes_and_path_give_the_same(recoverer, astronaut):
    from_bytes = recoverer.recover(Path(ASTRONAUT).read_bytes())
    np.testing.assert_array_equal(from_bytes.people[0].poses, astronaut.people[0].poses)


def test_given_focal_length_is_used(recoverer):
    result = recoverer.recover(ASTRONAUT, focal_px=2000.0)
    assert result.camera.fx == result.camera.fy == 2000.0


def test_stages_come_in_order(recoverer):
    stages: list[str] = []
    recoverer.recover(COFFEE, on_stage=stages.append)
    assert stages == ["decode", "detect", "fit"]


@pytest.mark.parametrize(("text", "limit"), [("all", None), ("largest", 1), ("3", 3)])
def test_people_limit(text, limit):
    assert people_limit(text) == limit


@pytest.mark.parametrize("text", ["", "0", "65", "-1", "some", "1.5"])
def test_people_limit_refuses(text):
    with pytest.raises(BadInput, match="People cannot be"):
        people_limit(text)


def test_unknown_model_lists_the_known_ones():
    with pytest.raises(BadInput) as caught:
        Recoverer("no-such-model")
    assert caught.value.code == "unknown_model"
    assert "keypoint-fit" in caught.value.hint
