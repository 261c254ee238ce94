"""From a network's answer to a place in the photo's camera."""

import numpy as np
import pytest

from backend.models.crops import Crop, crop_around, cut
from backend.models.inference.translation_solve import rotation_to_ray, solve_translation
from backend.structures import Camera, DetectedPerson

CAMERA = Camera(900.0, 900.0, 399.5, 299.5, 800, 600)


def person(points, visibility=1.0):
    keypoints = np.concatenate([points, np.full((len(points), 1), visibility)], 1).astype(np.float32)
    box = np.concatenate([points.min(0), points.max(0)]).astype(np.float32)
    return DetectedPerson(box, 1.0, keypoints, np.zeros((len(points), 3), np.float32), "coco17")


def test_a_body_is_put_where_it_was():
    rng = np.random.RandomState(0)
    for _ in range(20):
        points = rng.uniform(-0.8, 0.8, (24, 3))
        shift = np.array([*rng.uniform(-2, 2, 2), rng.uniform(3, 12)])
        found = solve_translation(points, CAMERA.project(points + shift), np.ones(24), CAMERA)
        np.testing.assert_allclose(found, shift, atol=1e-6)


def test_points_without_weight_do_not_count():
    points = np.random.RandomState(0).uniform(-0.8, 0.8, (24, 3))
    pixels = CAMERA.project(points + [0.5, -0.2, 5.0])
    weights = np.ones(24)
    pixels[5], weights[5] = [1e4, -1e4], 0.0
    np.testing.assert_allclose(solve_translation(points, pixels, weights, CAMERA), [0.5, -0.2, 5.0], atol=1e-6)


@pytest.mark.parametrize("case", ["mirrored", "point", "unseen"])
def test_nonsense_still_stands_in_front_of_the_camera(case):
    points = np.random.RandomState(0).uniform(-0.8, 0.8, (24, 3))
    pixels = CAMERA.project(points + [0, 0, 5.0])
    weights = np.ones(24)
    if case == "mirrored":
        pixels = 2 * pixels.mean(0) - pixels  # only a body behind the camera projects so
    elif case == "point":
        pixels[:] = [100.0, 100.0]
    else:
        weights[:] = 0.0
    found = solve_translation(points, pixels, weights, CAMERA)
    assert np.isfinite(found).all()
    assert (points + found)[:, 2].min() > 0.2
    middle = CAMERA.project((points + found).mean(0))
    assert np.linalg.norm(middle - pixels.mean(0)) < 120


@pytest.mark.parametrize("pixel", [(399.5, 299.5), (0.0, 0.0), (799.0, 100.0)])
def test_the_optical_axis_is_rotated_to_the_ray(pixel):
    turn = rotation_to_ray(np.array(pixel), CAMERA)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(CAMERA.project(turn @ [0, 0, 4.0]), pixel, atol=1e-9)
    # and not about itself
    assert abs(turn[0, 1] - turn[1, 0]) < 1e-12


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("aspect", [1.0, 0.75])
def test_what_stands_somewhere_in_the_crop_is_there_in_the_photo(aspect, mirrored):
    pixels = np.zeros((600, 800, 3), np.uint8)
    points = np.array([[300.0, 100.0], [420.0, 500.0], [350.0, 300.0], [330.0, 420.0]])
    crop = crop_around(person(points), "body", aspect, mirrored)
    for x, y in points.astype(int):
        pixels[y - 4 : y + 5, x - 4 : x + 5] = 255
    size = (256, round(256 * aspect))
    picture = cut(pixels, crop, size)
    assert picture.shape == (3, *size)
    mask = picture[0] > picture[0].min() + 0.5 * np.ptp(picture[0])
    for x, y in points:
        # the crop's own coordinates of the point
        places = (np.array([x, y]) - crop.centre) / (max(crop.width, crop.height) / 2)
        if mirrored:
            places[0] = -places[0]
        np.testing.assert_allclose(crop.to_photo(places), [x, y], atol=1e-9)
        longer = max(size)
        column, row = (places * longer / 2 + np.array(size[::-1]) / 2 - 0.5).round().astype(int)
        assert mask[row, column]


def test_crops_reach_beyond_the_photo():
    pixels = np.full((50, 60, 3), 255, np.uint8)
    crop = Crop(-30, -20, 100, 100)
    picture = cut(pixels, crop, (100, 100))
    bright = picture[0] > picture[0].min()
    assert bright[20:70, 30:90].all()
    assert not bright[:20].any()
    assert not bright[:, :30].any()
    assert not bright[70:].any()


def test_a_person_without_visible_keypoints_is_cut_by_the_box():
    points = np.array([[300.0, 100.0], [420.0, 500.0], [350.0, 300.0], [330.0, 420.0]])
    crop = crop_around(person(points, visibility=0.0), "body", 1.0)
    assert abs(crop.centre - [360, 300]).max() <= 1
    assert crop.height == 480
