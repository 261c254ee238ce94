"""Detection in public-domain photos; tiles; merging of candidates."""

from pathlib import Path

import numpy as np
import pytest
import skimage

from backend.errors import RecoverMeshError
from backend.media.photo import load_image
from backend.people.detect import task_bundle
from backend.people.detect.candidates import Candidate, merge
from backend.people.detect.mediapipe_detector import MediaPipeDetector
from backend.people.detect.tiles import tiles

DATA = Path(skimage.__file__).parent / "data"
RENDERED = Path(__file__).parents[2] / "data" / "rendered_person.jpg"


@pytest.fixture(scope="module")
def detector():
    found = MediaPipeDetector()
    yield found
    found.close()


@pytest.fixture(scope="module")
def astronaut():
    return load_image(DATA / "astronaut.png").pixels


def test_one_astronaut_with_her_face_where_it_is(detector, astronaut):
    (person,) = detector.detect(astronaut)
    nose, left_eye, right_eye = person.keypoints2d[[0, 2, 5], :2]
    assert 190 < nose[0] < 260 and 80 < nose[1] < 150
    assert left_eye[0] > right_eye[0]  # her left is on the image's right
    assert person.keypoints2d.shape == (33, 3) and person.keypoints3d.shape == (33, 3)
    assert person.keypoints2d[25:, 2].max() < 0.5  # knees and feet are not in the image
    assert 0.5 < person.score <= 1


def test_the_mirror_image_gives_mirrored_keypoints(detector, astronaut):
    (there,) = detector.detect(astronaut)
    (here,) = detector.detect(np.ascontiguousarray(astronaut[:, ::-1]))
    swap = [0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, 12, 11]  # face and shoulders
    mirrored = here.keypoints2d[swap, :2] * [-1, 1] + [astronaut.shape[1] - 1, 0]
    assert np.linalg.norm(mirrored - there.keypoints2d[: len(swap), :2], axis=1).mean() < 12


@pytest.mark.parametrize("name", ["coffee.png", "chelsea.png"])
def test_no_people(detector, name):
    assert detector.detect(load_image(DATA / name).pixels) == []


def test_two_people_and_their_order(detector):
    person = load_image(RENDERED).pixels
    small = np.full_like(person, person[5, 5])
    half = person[::2, ::2]
    small[-half.shape[0] :, : half.shape[1]] = half
    found = detector.detect(np.concatenate([small, person], 1))
    assert len(found) == 2
    assert found[0].box[0] > person.shape[1] > found[1].box[0]  # the larger one first
    assert len(detector.detect(np.concatenate([small, person], 1), 1)) == 1


def test_largest_only_runs_few_crops(detector, monkeypatch):
    runs = []
    run = detector._run_networks
    monkeypatch.setattr(detector, "_run_networks", lambda *a: runs.append(1) or run(*a))
    person = load_image(RENDERED).pixels
    (everybody,) = detector.detect(person)
    many = len(runs)
    (alone,) = detector.detect(person, 1)
    assert len(runs) - many < many / 4
    assert np.median(np.linalg.norm(alone.keypoints2d[:, :2] - everybody.keypoints2d[:, :2], axis=1)) < 10


def test_large_images_give_full_size_pixels(detector):
    person = load_image(RENDERED).pixels
    (found,) = detector.detect(person)
    (large,) = detector.detect(np.kron(person, np.ones((2, 2, 1), np.uint8)))
    gap = np.linalg.norm(large.keypoints2d[:, :2] / 2 - found.keypoints2d[:, :2], axis=1)
    assert np.median(gap) < 8


def candidate(x, y, size=100.0, score=0.9):
    """A stick figure: shoulders above hips above knees."""
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-0.3, 0.3, 33), rng.uniform(-1.5, 1.5, 33), np.ones(33)])
    points[[11, 12], :2] = [[0.2, -0.5], [-0.2, -0.5]]
    points[[23, 24], :2] = [[0.1, 0.5], [-0.1, 0.5]]
    points[:, :2] = points[:, :2] * size + [x, y]
    return Candidate(points, np.zeros((33, 3)), score)


def test_merge_keeps_the_best_of_each_person():
    near = [candidate(100, 100, score=0.7), candidate(105, 102, score=0.95), candidate(500, 100, score=0.8)]
    assert [c.score for c in merge(near)] == [0.95, 0.8]


def test_merge_drops_a_limb_inside_a_person():
    assert len(merge([candidate(100, 100), candidate(110, 180, size=20, score=0.8)])) == 1
    assert len(merge([candidate(100, 100), candidate(400, 180, size=20, score=0.8)])) == 2


@pytest.mark.parametrize(("width", "height"), [(640, 480), (2000, 300), (300, 2000), (1280, 1280)])
def test_tiles_cover_the_image(width, height):
    covered = np.zeros((height, width), int)
    for x, y, w, h in tiles(width, height):
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height and (w, h) != (width, height)
        covered[y : y + h, x : x + w] += 1
    assert covered.min() >= 1
    assert tiles(200, 200) == []


def test_another_mediapipe_is_an_error(monkeypatch):
    monkeypatch.setattr(task_bundle.metadata, "version", lambda name: "0.10.35")
    with pytest.raises(RecoverMeshError, match=r"0\.10\.35 is installed") as caught:
        task_bundle.pose_bundle()
    assert "mediapipe==0.10.21" in caught.value.hint
