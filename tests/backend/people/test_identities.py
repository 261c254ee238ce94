"""People of a whole clip: linking of tracklets, false poses at occlusions, the user's edits."""

import numpy as np
import pytest

from backend.people.track.appearance import SIZE
from backend.people.track.identities import best_row, identify, tracks_from_detections
from tests.backend.people.test_tracker import STANDING

FPS = 30.0


def embedding(seed):
    """(SIZE,) embedding as of `appearance`: two halves, each the square root of half a histogram."""
    rng = np.random.default_rng(seed)
    halves = rng.dirichlet(np.full(SIZE // 2, 0.05), 2)
    return np.sqrt(halves / 2).ravel().astype(np.float32)


def tracklet(first, last, x=300.0, size=200.0, looks=0, score=0.9):
    """Detections of a tracklet in frames first..last.  size: height of the pose, px, one or one per frame."""
    frames = np.arange(first, last + 1)
    sizes = np.broadcast_to(np.asarray(size, float), frames.shape)
    points = STANDING * sizes[:, None, None] + [x, 300.0]
    visible = np.full((*points.shape[:2], 1), 0.95)
    return {
        "frame": frames,
        "looks": np.tile(embedding(looks), (len(frames), 1)),
        "boxes": np.concatenate([points.min(1), points.max(1)], 1).astype(np.float32),
        "scores": np.full(len(frames), score, np.float32),
        "keypoints2d": np.concatenate([points, visible], 2).astype(np.float32),
        "keypoints3d": np.zeros((len(frames), 33, 3), np.float32),
    }


def clip_of(*tracklets, step=1):
    """Detections of all tracklets; tracklet k has the id k + 1."""
    rows = {name: np.concatenate([p[name] for p in tracklets]) for name in tracklets[0]}
    rows["person"] = np.repeat(np.arange(1, len(tracklets) + 1), [len(p["frame"]) for p in tracklets])
    order = np.argsort(rows["frame"], kind="stable")
    rows = {name: values[order] for name, values in rows.items()}
    rows["frame"] = rows["frame"] * step
    return rows


def final_ids(rows, **edits):
    """{id of a tracklet: set of its final ids}."""
    ids = identify(rows, FPS, read=1000, **edits)
    return {int(k): {int(i) for i in ids[rows["person"] == k]} for k in np.unique(rows["person"])}


# what is tested: (tracklets, the final id of each)
LINKS = {
    "a short gap is linked": ([tracklet(0, 60), tracklet(85, 140, x=340)], [1, 1]),
    "a long gap is linked whatever the distance": ([tracklet(0, 60), tracklet(200, 260, x=1500)], [1, 1]),
    "another appearance is not linked": ([tracklet(0, 60), tracklet(70, 130, looks=1)], [1, 2]),
    "larger after a short gap is not linked": ([tracklet(0, 60), tracklet(70, 130, size=500)], [1, 2]),
    "far away after a short gap is not linked": ([tracklet(0, 60), tracklet(70, 130, x=1500)], [1, 2]),
    "larger after a long gap is linked": ([tracklet(0, 60), tracklet(61 + 90, 230, x=900, size=500)], [1, 1]),
    "coexisting tracklets are never linked": ([tracklet(0, 60), tracklet(60, 120, x=310)], [1, 2]),
    "an ambiguous return is not linked": (
        [tracklet(0, 60, x=200), tracklet(0, 60, x=900), tracklet(200, 260, x=500)], [1, 2, 3],
    ),
    "equal appearance is linked to the one who had left": (
        [tracklet(0, 60, x=200), tracklet(0, 300, x=900), tracklet(200, 260, x=500)], [1, 2, 1],
    ),
    "equal appearance after a short gap is linked by position": (
        [tracklet(0, 60, 200), tracklet(0, 60, 900), tracklet(75, 140, 880), tracklet(75, 140, 230)], [1, 2, 2, 1],
    ),
    "tracklets of low score are false": ([tracklet(0, 60), tracklet(0, 60, x=900, score=0.5)], [1, 0]),
}  # fmt: skip


@pytest.mark.parametrize("case", LINKS)
def test_links(case):
    tracklets, expected = LINKS[case]
    assert final_ids(clip_of(*tracklets)) == {k: {final} for k, final in enumerate(expected, 1)}


def test_a_chain_of_tracklets_has_the_first_id():
    tracklets = [tracklet(100 * k, 100 * k + 60, x=300 + 40 * k) for k in range(8)]
    assert set().union(*final_ids(clip_of(*tracklets)).values()) == {1}


def test_a_short_duplicate_makes_no_ambiguity():
    rows = clip_of(tracklet(0, 60), tracklet(55, 59, x=330), tracklet(200, 260, x=500))
    assert final_ids(rows)[3] == final_ids(rows)[1] == {1}


def test_links_do_not_depend_on_the_order_of_ids():
    tracklets = [tracklet(0, 60), tracklet(100, 160), tracklet(0, 200, 900, looks=1), tracklet(230, 300, 800, looks=1)]
    there, back = final_ids(clip_of(*tracklets)), final_ids(clip_of(*tracklets[::-1]))
    groups = {frozenset(k for k in there if there[k] == there[one]) for one in there}
    assert {frozenset(5 - k for k in back if back[k] == back[one]) for one in back} == groups


def test_no_detections():
    rows = {name: values[:0] for name, values in clip_of(tracklet(0, 5)).items()}
    assert len(identify(rows, FPS)) == 0
    assert tracks_from_detections(rows, rows["person"], 1) == []


def shrinking(frames, shrunk):
    size = np.full(frames, 200.0)
    size[shrunk] = 90.0
    return size


@pytest.mark.parametrize("step", [1, 3])
def test_small_poses_at_an_occlusion_are_dropped(step):
    going = tracklet(0, 59, size=shrinking(60, [57, 58, 59] if step == 1 else [59]))
    coming = tracklet(90, 149, size=shrinking(60, [0, 1] if step == 1 else [0]))
    rows = clip_of(going, coming, step=step)
    ids = identify(rows, FPS, read=1000)
    dropped = rows["frame"][ids == 0] // step
    np.testing.assert_array_equal(dropped, [57, 58, 59, 90, 91] if step == 1 else [59, 90])


@pytest.mark.parametrize(
    "size",
    [
        shrinking(60, [30, 31]),  # no occlusion
        shrinking(60, [0, 1, 58, 59]),  # the clip's ends
        np.linspace(200, 100, 60),  # bending down
        np.full(60, 200.0),
    ],
)
def test_other_changes_of_size_are_kept(size):
    rows = clip_of(tracklet(0, 59, size=size))
    assert set(identify(rows, FPS, read=60)) == {1}


PEOPLE = (tracklet(0, 50, looks=0), tracklet(0, 50, x=900, looks=1), tracklet(60, 100, x=1500, looks=2))


@pytest.mark.parametrize("merge", [[(1, 2), (2, 3)], [(2, 3), (1, 2)], [(3, 1, 2)]])
def test_merges_are_transitive(merge):
    merged = final_ids(clip_of(*PEOPLE), merge=merge)
    assert merged[3] == {1} and merged[1] | merged[2] == {0, 1}  # of two in a frame the one of higher score stays


def test_id_0_cannot_be_merged_or_split():
    rows = clip_of(*PEOPLE, tracklet(20, 21, x=1900, looks=3))
    assert final_ids(rows, merge=[(0, 1)], split=[(0, 20)]) == final_ids(rows) == {1: {1}, 2: {2}, 3: {3}, 4: {0}}


def test_a_link_can_be_split_and_merged_again():
    rows = clip_of(tracklet(0, 60), tracklet(85, 140))
    assert final_ids(rows) == {1: {1}, 2: {1}}
    assert final_ids(rows, split=[(1, 85)]) == {1: {1}, 2: {2}}
    assert final_ids(rows, split=[(1, 85)], merge=[(1, 2)]) == {1: {1}, 2: {1}}


def ranges(rows, **edits):
    """{final id: (first, last frame)}."""
    ids = identify(rows, FPS, read=1000, **edits)
    return {int(k): (*rows["frame"][ids == k][[0, -1]].tolist(),) for k in np.unique(ids[ids > 0])}


def test_edits_apply_to_the_ids_that_the_one_before_left():
    rows = clip_of(tracklet(0, 60), tracklet(0, 60, x=900, looks=1), tracklet(200, 300, x=1500, looks=2))
    edits = []
    for edit, expected in [
        (("merge", 2, 3, 0), {1: (0, 60), 2: (0, 300)}),
        (("split", 2, 100, 4), {1: (0, 60), 2: (0, 60), 4: (200, 300)}),
        (("split", 4, 250, 5), {1: (0, 60), 2: (0, 60), 4: (200, 249), 5: (250, 300)}),
        (("merge", 1, 5, 0), {1: (0, 300), 2: (0, 60), 4: (200, 249)}),
        (("split", 1, 30, 6), {1: (0, 29), 2: (0, 60), 4: (200, 249), 6: (30, 300)}),
        (("merge", 4, 6, 0), {1: (0, 29), 2: (0, 60), 4: (30, 300)}),
    ]:
        edits.append(edit)
        assert ranges(rows, edits=edits) == expected


def test_a_split_takes_no_other_persons_id():
    rows = clip_of(*PEOPLE)
    assert ranges(rows, edits=[("split", 1, 20, 3)]) == {1: (0, 19), 2: (0, 50), 3: (20, 50), 4: (60, 100)}


@pytest.mark.parametrize(
    "edit", [("merge", 1, 9, 0), ("split", 9, 20, 10), ("split", 1, 900, 9), ("merge", 0, 1, 0), ("split", 0, 20, 9)]
)
def test_edits_of_unknown_ids_change_nothing(edit):
    rows = clip_of(*PEOPLE, tracklet(20, 21, x=1900, looks=3))
    assert ranges(rows, edits=[edit]) == ranges(rows)


def test_edits_come_after_merge_and_split():
    rows = clip_of(*PEOPLE)
    old = {"merge": [(1, 3)], "split": [(2, 20)]}
    assert ranges(rows, **old) == {1: (0, 100), 2: (0, 19), 4: (20, 50)}
    assert ranges(rows, **old, edits=[("merge", 2, 4, 0), ("split", 1, 60, 5)]) == {
        1: (0, 50), 2: (0, 50), 5: (60, 100),
    }  # fmt: skip


def test_the_input_is_left_alone():
    rows = clip_of(*PEOPLE)
    before = {name: values.copy() for name, values in rows.items()}
    identify(rows, FPS, merge=[(1, 3)], split=[(2, 20)], edits=[("merge", 1, 2, 0)])
    for name, values in rows.items():
        np.testing.assert_array_equal(values, before[name])


def test_tracks_are_sorted_by_size_and_length():
    rows = clip_of(
        tracklet(0, 50, size=100), tracklet(0, 50, x=900, size=300, looks=1), tracklet(0, 9, x=1500, size=300, looks=2)
    )
    tracks = tracks_from_detections(rows, identify(rows, FPS), 1)
    assert [track.id for track in tracks] == [2, 1, 3]


def test_the_best_row_is_large_and_visible():
    rows = clip_of(tracklet(0, 20, size=np.linspace(100, 200, 21)))
    rows["keypoints2d"][15:, :, 2] = 0.2  # half hidden from there on
    (track,) = tracks_from_detections(rows, rows["person"], 1)
    assert best_row(track) == 14
