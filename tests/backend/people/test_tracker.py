"""Tracking and identities of synthetic people who cross, hide, leave and come back."""

import numpy as np
import pytest

from backend.people.track.identities import identify, thumbnails, tracks_from_detections
from backend.people.track.tracker import LOST_AFTER, Tracker
from backend.structures import DetectedPerson

RED, GREEN = (200, 40, 40), (40, 180, 60)
WIDTH, HEIGHT = 640, 360
# a standing person 1 high and centred: MediaPipe's landmarks, roughly
STANDING = np.zeros((33, 2))
STANDING[:11] = [0.0, -0.45]
for k, (x, y) in {
    11: (0.12, -0.32), 13: (0.18, -0.15), 15: (0.2, 0.0), 23: (0.08, 0.0), 25: (0.08, 0.24), 27: (0.08, 0.46),
    17: (0.2, 0.03), 19: (0.2, 0.03), 21: (0.2, 0.02), 29: (0.08, 0.48), 31: (0.1, 0.5),
}.items():  # fmt: skip
    STANDING[k], STANDING[k + 1] = (x, y), (-x, y)


def person(x, y=180.0, size=200.0, seed=0):
    rng = np.random.default_rng(seed)
    points = STANDING * size + [x, y] + rng.standard_normal((33, 2)) * 0.004 * size
    keypoints = np.concatenate([points, np.full((33, 1), 0.95)], 1).astype(np.float32)
    box = np.concatenate([points.min(0), points.max(0)]).astype(np.float32)
    return DetectedPerson(box, 0.9, keypoints, np.zeros((33, 3), np.float32), "blazepose33")


def image(people):
    """people: (x, colour), the nearest last."""
    pixels = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    for x, colour in people:
        x0, x1 = int(np.clip(x - 40, 0, WIDTH)), int(np.clip(x + 40, 0, WIDTH))
        pixels[80:290, x0:x1] = colour
    return pixels


class Clip:
    """A tracker that is fed frame by frame, and all detections."""

    def __init__(self):
        self.tracker, self.rows, self.frame = Tracker(), [], 0

    def see(self, people, hidden=()):
        """{index: track id} in the next frame.  people: (x, colour).  hidden: indices without a detection."""
        found = [person(x, seed=self.frame * 10 + k) for k, (x, _) in enumerate(people) if k not in hidden]
        owners = [k for k in range(len(people)) if k not in hidden]
        ids, embeddings = self.tracker.update(self.frame, image(people), found)
        for identity, embedding, one, owner in zip(ids, embeddings, found, owners, strict=True):
            self.rows.append((self.frame, identity, one, embedding, owner))
        self.frame += 1
        return dict(zip(owners, ids, strict=True))

    def arrays(self):
        frame, ids, people, embeddings, _ = zip(*self.rows, strict=True)
        return {
            "frame": np.array(frame), "person": np.array(ids), "looks": np.array(embeddings),
            "boxes": np.array([p.box for p in people]), "scores": np.array([p.score for p in people], np.float32),
            "keypoints2d": np.array([p.keypoints2d for p in people]),
            "keypoints3d": np.array([p.keypoints3d for p in people]),
        }  # fmt: skip

    def owners(self):
        return np.array([row[4] for row in self.rows])


def crossing():
    return [(100 + 7 * t, 540 - 7 * t) for t in range(60)]


@pytest.mark.parametrize(("colour", "near"), [(GREEN, 50), (RED, 40)])
def test_people_who_cross_keep_their_ids(colour, near):
    """Also with equal appearance: matched by motion."""
    clip = Clip()
    for a, b in crossing():
        seen = clip.see([(b, colour), (a, RED)], hidden=(0,) if abs(a - b) < near else ())
    assert seen == {row[4]: row[1] for row in clip.rows[:2]}
    assert len({row[1] for row in clip.rows}) == 2


def test_missed_frames_keep_the_id():
    clip = Clip()
    for t in range(40):
        clip.see([(100 + 4 * t, RED)], hidden=(0,) if t % 4 == 1 else ())
    assert {row[1] for row in clip.rows} == {1}


def test_a_new_person_has_a_new_id():
    clip = Clip()
    for t in range(10):
        clip.see([(100, RED)] if t < 5 else [(100, RED), (500, GREEN)])
    assert {row[1] for row in clip.rows if row[4] == 1} == {2}


def test_a_restored_tracker_is_the_same_bit_by_bit():
    clip, again = Clip(), None
    for t, (a, b) in enumerate(crossing()):
        if t == 25:
            state = {k: v.copy() for k, v in clip.tracker.state().items()}
            again = Clip()
            again.tracker, again.frame = Tracker.from_state(state), t
        expected = clip.see([(b, GREEN), (a, RED)])
        if again is not None:
            assert again.see([(b, GREEN), (a, RED)]) == expected
            for name, value in clip.tracker.state().items():
                np.testing.assert_array_equal(value, again.tracker.state()[name])


def test_an_empty_tracker_has_a_state():
    tracker = Tracker.from_state(Tracker().state())
    assert tracker.update(0, image([]), []) == ([], [])
    assert tracker.predictions(1) == []


LONG = round(30 * LOST_AFTER) + 30


def come_back(colour, away=LONG):
    clip = Clip()
    for t in range(20):
        clip.see([(100 + 5 * t, RED)])
    for _ in range(away):
        clip.see([])
    for t in range(20):
        clip.see([(400 - 5 * t, colour)])
    return clip


def test_same_appearance_is_re_identified():
    clip = come_back(RED)
    assert {row[1] for row in clip.rows} == {1, 2}
    assert set(identify(clip.arrays(), 30.0)) == {1}


def test_another_appearance_is_another_person():
    assert set(identify(come_back(GREEN).arrays(), 30.0)) == {1, 2}


def test_coexisting_people_are_never_linked():
    clip = Clip()
    for _ in range(20):
        clip.see([(150, RED), (450, RED)])
    assert set(identify(clip.arrays(), 30.0)) == {1, 2}


def test_short_false_detections_are_dropped():
    clip = Clip()
    for t in range(20):
        clip.see([(100, RED), (500, GREEN)] if t in (7, 8) else [(100, RED)])
    ids = identify(clip.arrays(), 30.0)
    assert set(ids[clip.owners() == 1]) == {0}
    assert set(ids[clip.owners() == 0]) == {1}


def test_the_user_merges_and_splits():
    clip = come_back(GREEN)
    rows = clip.arrays()
    assert set(identify(rows, 30.0, merge=[(1, 2)])) == {1}
    ids = identify(rows, 30.0, split=[(1, 10)])
    assert len(set(ids)) == 3
    assert set(ids[rows["frame"] < 10]) == {1}
    assert 1 not in ids[rows["frame"] >= 10]


def test_tracks_have_a_row_for_every_frame_between():
    clip = Clip()
    for t in range(30):
        clip.see([(100 + 4 * t, RED), (500, GREEN)], hidden=(0,) if 10 <= t < 15 else ())
    rows = clip.arrays()
    tracks = {track.id: track for track in tracks_from_detections(rows, identify(rows, 30.0), 1)}
    track = tracks[1]
    np.testing.assert_array_equal(track.frames, np.arange(30))
    np.testing.assert_array_equal(np.nonzero(~track.seen)[0], np.arange(10, 15))
    assert not track.keypoints2d[12].any()
    assert track.keypoints2d[11 - 2, :, 2].all()


def test_steps_count_as_neighbours():
    rows = come_back(GREEN, 0).arrays()
    rows["frame"] = rows["frame"] * 3
    (first, *_) = tracks_from_detections(rows, np.ones(len(rows["frame"]), int), 3)
    assert first.seen.all()
    np.testing.assert_array_equal(np.diff(first.frames), 3)


@pytest.mark.parametrize("there", [True, False])
def test_thumbnails_show_the_person(there):
    clip = Clip()
    for _ in range(5):
        clip.see([(300, RED)])
    rows = clip.arrays()
    tracks = tracks_from_detections(rows, rows["person"], 1)
    images = thumbnails(tracks, lambda number: image([(300, RED)]) if there else None)
    assert images.shape == (1, 96, 96, 3)
    middle = images[0, 40:56, 40:56].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(middle, RED if there else (128, 128, 128), atol=3)


@pytest.mark.parametrize(("fps", "step"), [(30.0, 1), (120.0, 1), (120.0, 4), (12.0, 1)])
def test_a_track_ends_after_a_time_in_seconds(fps, step):
    tracker = Tracker(fps, step)
    for number in range(0, 4 * step, step):
        tracker.update(number, image([(300, RED)]), [person(300)])
    last = 3 * step
    until = last + step + int(LOST_AFTER * fps)
    assert len(tracker.predictions(until)) == 1
    assert tracker.predictions(until + 1) == []
    assert tracker.predictions(last + step)[0].seen_last_frame
    tracker.update(last + step, image([]), [])
    assert not tracker.predictions(last + 2 * step)[0].seen_last_frame


def test_limbs_are_extrapolated_for_one_step():
    tracker = Tracker()
    for number in range(6):
        one = person(300)
        one.keypoints2d[27, 0] += 5 * number
        tracker.update(number, image([(300, RED)]), [one])
    start = tracker.predictions(6)[0].points[27, 0]
    assert start == pytest.approx(one.keypoints2d[27, 0] + 5, abs=0.5)
    assert tracker.predictions(20)[0].points[27, 0] == pytest.approx(start, abs=0.5)


def test_appearance_is_not_updated_where_boxes_overlap():
    clip = Clip()
    for _ in range(5):
        clip.see([(300, RED)])
    embeddings = clip.tracker.state()["looks"][0].copy()
    for _ in range(10):
        clip.see([(300, GREEN), (320, GREEN)])
    np.testing.assert_array_equal(clip.tracker.state()["looks"][0], embeddings)
