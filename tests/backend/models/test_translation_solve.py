"""Crops, translation solve and rotation to the ray: from a network's output to the photo's camera frame."""

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


def test_the_translation_is_recovered():
    rng = np.random.RandomState(0)
    for _ in range(20):
        points = rng.uniform(-0.8, 0.8, (24, 3))
        shift = np.array([*rng.uniform(-2, 2, 2), rng.uniform(3, 12)])
        solved = solve_translation(points, CAMERA.project(points + shift), np.ones(24), CAMERA)
        np.testing.assert_allclose(solved, shift, atol=1e-6)


def test_points_without_weight_do_not_count():
    points = np.random.RandomState(0).uniform(-0.8, 0.8, (24, 3))
    pixels = CAMERA.project(points + [0.5, -0.2, 5.0])
    weights = np.ones(24)
    pixels[5], weights[5] = [1e4, -1e4], 0.0
    np.testing.assert_allclose(solve_translation(points, pixels, weights, CAMERA), [0.5, -0.2, 5.0], atol=1e-6)


@pytest.mark.parametrize("case", ["mirrored", "point", "invisible"])
def test_impossible_pixels_still_give_a_body_in_front_of_the_camera(case):
    points = np.random.RandomState(0).uniform(-0.8, 0.8, (24, 3))
    pixels = CAMERA.project(points + [0, 0, 5.0])
    weights = np.ones(24)
    if case == "mirrored":
        pixels = 2 * pixels.mean(0) - pixels  # the projection of a body behind the camera
    elif case == "point":
        pixels[:] = [100.0, 100.0]
    else:
        weights[:] = 0.0
    solved = solve_translation(points, pixels, weights, CAMERA)
    assert np.isfinite(solved).all()
    assert (points + solved)[:, 2].min() > 0.2
    middle = CAMERA.project((points + solved).mean(0))
    assert np.linalg.norm(middle - pixels.mean(0)) < 120


@pytest.mark.parametrize("pixel", [(399.5, 299.5), (0.0, 0.0), (799.0, 100.0)])
def test_the_optical_axis_is_rotated_to_the_ray(pixel):
    rotation = rotation_to_ray(np.array(pixel), CAMERA)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(CAMERA.project(rotation @ [0, 0, 4.0]), pixel, atol=1e-9)
    # the smallest rotation: none about the optical axis
    assert abs(rotation[0, 1] - rotation[1, 0]) < 1e-12


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("aspect", [1.0, 0.75])
def test_points_in_the_crop_map_back_to_the_photo(aspect, mirrored):
    pixels = np.zeros((600, 800, 3), np.uint8)
    points = np.array([[300.0, 100.0], [420.0, 500.0], [350.0, 300.0], [330.0, 420.0]])
    crop = crop_around(person(points), "body", aspect, mirrored)
    for x, y in points.astype(int):
        pixels[y - 4 : y + 5, x - 4 : x + 5] = 255
    size = (256, round(256 * aspect))
    image = cut(pixels, crop, size)
    assert image.shape == (3, *size)
    mask = image[0] > image[0].min() + 0.5 * np.ptp(image[0])
    for x, y in points:
        in_crop = (np.array([x, y]) - crop.centre) / (max(crop.width, crop.height) / 2)
        if mirrored:
            in_crop[0] = -in_crop[0]
        np.testing.assert_allclose(crop.to_photo(in_crop), [x, y], atol=1e-9)
        longer = max(size)
        column, row = (in_crop * longer / 2 + np.array(size[::-1]) / 2 - 0.5).round().astype(int)
        assert mask[row, column]


def test_crops_may_extend_beyond_the_photo():
    pixels = np.full((50, 60, 3), 255, np.uint8)
    crop = Crop(-30, -20, 100, 100)
    image = cut(pixels, crop, (100, 100))
    bright = image[0] > image[0].min()
    assert bright[20:70, 30:90].all()
    assert not bright[:20].any()
    assert not bright[:, :30].any()
    assert not bright[70:].any()


def test_without_visible_keypoints_the_crop_is_around_the_box():
    points = np.array([[300.0, 100.0], [420.0, 500.0], [350.0, 300.0], [330.0, 420.0]])
    crop = crop_around(person(points, visibility=0.0), "body", 1.0)
    assert abs(crop.centre - [360, 300]).max() <= 1
    assert crop.height == 480
