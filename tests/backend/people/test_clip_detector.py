"""People in consecutive frames: the real networks on a rendered person who walks, comes nearer, and leaves."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.media.photo import load_image
from backend.people.detect.clip_detector import FULL_IMAGE_EVERY, IDLE_EVERY, TILE_EVERY, ClipDetector, scheduled_slot
from backend.people.detect.tiles import tiles
from backend.people.track.tracker import Tracker

RENDERED = Path(__file__).parents[2] / "data" / "rendered_person.jpg"
WIDTH, HEIGHT = 960, 540
FRAMES = 24


@pytest.fixture(scope="module")
def detector():
    found = ClipDetector()
    yield found
    found.close()


@pytest.fixture(scope="module")
def still():
    return load_image(RENDERED).pixels


def zoom_and_shift(t):
    """(2, 3) transform of the person's image into frame t: to the right, and nearer."""
    zoom = 0.75 + 0.01 * t
    return np.array([[zoom, 0, 120 + 14 * t], [0, zoom, 30 - t]], float)


def frame(still, transform):
    """The person's image over a grey ramp.  transform: None: no person."""
    ramp = np.linspace(90, 200, WIDTH).astype(np.uint8)
    background = np.repeat(np.tile(ramp, (HEIGHT, 1))[..., None], 3, 2)
    if transform is None:
        return background
    return cv2.warpAffine(still, transform, (WIDTH, HEIGHT), dst=background, borderMode=cv2.BORDER_TRANSPARENT)


def follow(detector, images, tracker=None, start=0):
    """Per frame the ids and people, and the tracker afterwards."""
    tracker, found = tracker or Tracker(), []
    for number, pixels in enumerate(images, start):
        people = detector.detect_next(pixels, tracker.predictions(number), number, full=number == 0)
        ids, _ = tracker.update(number, pixels, people)
        found.append((ids, people))
    return found, tracker


@pytest.fixture(scope="module")
def walk(still):
    return [frame(still, zoom_and_shift(t)) for t in range(FRAMES)]


@pytest.fixture(scope="module")
def followed(detector, walk):
    return follow(detector, walk)[0]


def test_one_person_with_one_id_in_every_frame(followed):
    assert [ids for ids, _ in followed] == [[1]] * FRAMES


def test_crops_agree_with_the_photo_detector(detector, still, followed):
    (alone,) = detector.detect(still)
    sure = alone.keypoints2d[:, 2] > 0.8
    for t, (_, (person,)) in enumerate(followed):
        transform = zoom_and_shift(t)
        gt = alone.keypoints2d[:, :2] @ transform[:, :2].T + transform[:, 2]
        gap = np.linalg.norm(person.keypoints2d[:, :2] - gt, axis=1)[sure]
        assert np.median(gap) < 0.03 * (person.box[3] - person.box[1])


def test_a_resumed_run_detects_the_same_bit_by_bit(detector, walk, followed):
    _, tracker = follow(detector, walk[:11])
    state = {name: value.copy() for name, value in tracker.state().items()}
    resumed, _ = follow(detector, walk[11:], Tracker.from_state(state), 11)
    for (ids, people), (ids_again, again) in zip(followed[11:], resumed, strict=True):
        assert ids == ids_again
        for one, other in zip(people, again, strict=True):
            np.testing.assert_array_equal(one.keypoints2d, other.keypoints2d)
            np.testing.assert_array_equal(one.keypoints3d, other.keypoints3d)
            np.testing.assert_array_equal(one.box, other.box)


def test_most_frames_run_one_crop(detector, walk, monkeypatch):
    runs = []
    run = detector._run_networks
    monkeypatch.setattr(detector, "_run_networks", lambda *args: runs.append(args[1:]) or run(*args))
    detector.detect_next(walk[0], [], 0, full=True)
    full, tracker = len(runs), follow(detector, walk[:2])[1]
    runs.clear()
    for number in range(2, FRAMES):
        people = detector.detect_next(walk[number], tracker.predictions(number), number)
        tracker.update(number, walk[number], people)
    assert len(runs) < 2 * (FRAMES - 2)
    assert full > 5 * len(runs) / (FRAMES - 2)


def test_a_person_who_enters_is_found_and_one_who_left_is_gone(detector, still):
    present = range(3, 3 + 2 * IDLE_EVERY)
    images = [frame(still, zoom_and_shift(5) if t in present else None) for t in range(present.stop + 4)]
    seen = [len(people) for _, people in follow(detector, images)[0]]
    assert not any(seen[: present.start]) and not any(seen[present.stop :])
    assert seen[present.stop - 1] == 1


def test_large_frames_give_full_size_pixels(detector, walk, followed):
    large = np.kron(walk[1], np.ones((2, 2, 1), np.uint8))
    _, tracker = follow(detector, [np.kron(walk[0], np.ones((2, 2, 1), np.uint8))])
    (person,) = detector.detect_next(large, tracker.predictions(1), 1)
    gap = np.linalg.norm(person.keypoints2d[:, :2] / 2 - followed[1][1][0].keypoints2d[:, :2], axis=1)
    assert np.median(gap) < 8


@pytest.mark.parametrize("of", [TILE_EVERY, IDLE_EVERY, FULL_IMAGE_EVERY, 18])
def test_each_slot_comes_once_in_a_block(of):
    for block in range(50):
        assert sorted(scheduled_slot(block * of + k, of) for k in range(of)) == list(range(of))


@pytest.mark.parametrize("step", [1, 2, 3, 4, 6, 11, 12, 13, 24, 25, 28, 30, 54])
def test_every_frame_step_searches_everywhere(step):
    count = len(tiles(1280, 720))
    for first in range(step):
        frames = range(first, first + 3000 * step, step)
        for every in (FULL_IMAGE_EVERY, IDLE_EVERY):
            share = np.mean([scheduled_slot(number, every) == 0 for number in frames]) * every
            assert 0.5 < share < 1.6
        looked_at = {scheduled_slot(n // TILE_EVERY, count) for n in frames if scheduled_slot(n, TILE_EVERY) == 0}
        assert looked_at == set(range(count))
