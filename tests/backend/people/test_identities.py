"""Who was in a whole clip: links that are sure, wrong poses at a hiding place dropped, the user's edits."""

import numpy as np
import pytest

from backend.people.track.appearance import SIZE
from backend.people.track.identities import best_row, identify, tracks_from_detections
from tests.backend.people.test_tracker import STANDING

FPS = 30.0


def clothes(seed):
    """Looks as `appearance` makes them: two halves, each the root of half a histogram."""
    rng = np.random.default_rng(seed)
    halves = rng.dirichlet(np.full(SIZE // 2, 0.05), 2)
    return np.sqrt(halves / 2).ravel().astype(np.float32)


def piece(first, last, x=300.0, size=200.0, looks=0, score=0.9):
    """Frames first..last of somebody.  size: of the whole pose, px, one number or one per frame."""
    frames = np.arange(first, last + 1)
    sizes = np.broadcast_to(np.asarray(size, float), frames.shape)
    points = STANDING * sizes[:, None, None] + [x, 300.0]
    visible = np.full((*points.shape[:2], 1), 0.95)
    return {
        "frame": frames,
        "looks": np.tile(clothes(looks), (len(frames), 1)),
        "boxes": np.concatenate([points.min(1), points.max(1)], 1).astype(np.float32),
        "scores": np.full(len(frames), score, np.float32),
        "keypoints2d": np.concatenate([points, visible], 2).astype(np.float32),
        "keypoints3d": np.zeros((len(frames), 33, 3), np.float32),
    }


def rows_of(*pieces, step=1):
    """Piece k has the id k + 1."""
    rows = {name: np.concatenate([p[name] for p in pieces]) for name in pieces[0]}
    rows["person"] = np.repeat(np.arange(1, len(pieces) + 1), [len(p["frame"]) for p in pieces])
    order = np.argsort(rows["frame"], kind="stable")
    rows = {name: values[order] for name, values in rows.items()}
    rows["frame"] = rows["frame"] * step
    return rows


def names(rows, **edits):
    """Final ids by the id before: {before: set of after}."""
    ids = identify(rows, FPS, read=1000, **edits)
    return {int(k): {int(i) for i in ids[rows["person"] == k]} for k in np.unique(rows["person"])}


def test_hidden_for_a_moment_is_the_same_person():
    assert names(rows_of(piece(0, 60), piece(85, 140, x=340))) == {1: {1}, 2: {1}}


def test_gone_for_seconds_and_back_from_the_other_side():
    assert names(rows_of(piece(0, 60), piece(200, 260, x=1500))) == {1: {1}, 2: {1}}


@pytest.mark.parametrize(
    "other",
    [
        {"looks": 1},  # other clothes
        {"size": 500},  # grown in no time
        {"x": 1500},  # far away in no time
    ],
)
def test_what_does_not_fit_is_another_person(other):
    assert names(rows_of(piece(0, 60), piece(70, 130, **other))) == {1: {1}, 2: {2}}


def test_somebody_who_was_away_long_may_come_back_nearer():
    assert names(rows_of(piece(0, 60), piece(61 + 90, 230, x=900, size=500))) == {1: {1}, 2: {1}}


def test_pieces_at_the_same_time_are_never_one():
    assert names(rows_of(piece(0, 60), piece(60, 120, x=310))) == {1: {1}, 2: {2}}


def test_a_chain_of_pieces_has_the_first_name():
    pieces = [piece(100 * k, 100 * k + 60, x=300 + 40 * k) for k in range(8)]
    assert set().union(*names(rows_of(*pieces)).values()) == {1}


def test_equal_clothes_where_one_of_two_comes_back_is_left_open():
    team = rows_of(piece(0, 60, x=200), piece(0, 60, x=900), piece(200, 260, x=500))
    assert names(team) == {1: {1}, 2: {2}, 3: {3}}


def test_equal_clothes_where_one_stayed_is_the_other():
    team = rows_of(piece(0, 60, x=200), piece(0, 300, x=900), piece(200, 260, x=500))
    assert names(team) == {1: {1}, 2: {2}, 3: {1}}


def test_equal_clothes_after_a_moment_are_told_by_place():
    team = rows_of(piece(0, 60, x=200), piece(0, 60, x=900), piece(75, 140, x=880), piece(75, 140, x=230))
    assert names(team) == {1: {1}, 2: {2}, 3: {2}, 4: {1}}


def test_a_second_find_for_an_instant_leaves_nothing_open():
    rows = rows_of(piece(0, 60), piece(55, 59, x=330), piece(200, 260, x=500))
    assert names(rows)[3] == names(rows)[1] == {1}


def test_everything_is_the_same_in_another_order_of_ids():
    pieces = [piece(0, 60), piece(100, 160), piece(0, 200, x=900, looks=1), piece(230, 300, x=800, looks=1)]
    there, back = names(rows_of(*pieces)), names(rows_of(*pieces[::-1]))
    groups = {frozenset(k for k in there if there[k] == there[one]) for one in there}
    assert {frozenset(5 - k for k in back if back[k] == back[one]) for one in back} == groups


def test_nobody_at_all():
    rows = {name: values[:0] for name, values in rows_of(piece(0, 5)).items()}
    assert len(identify(rows, FPS)) == 0
    assert tracks_from_detections(rows, rows["person"], 1) == []


def test_unsure_finds_are_false():
    assert names(rows_of(piece(0, 60), piece(0, 60, x=900, score=0.5))) == {1: {1}, 2: {0}}


def shrinking(frames, shrunk):
    size = np.full(frames, 200.0)
    size[shrunk] = 90.0
    return size


@pytest.mark.parametrize("step", [1, 3])
def test_a_small_pose_where_somebody_is_going_out_of_view_is_dropped(step):
    going = piece(0, 59, size=shrinking(60, [57, 58, 59] if step == 1 else [59]))
    coming = piece(90, 149, size=shrinking(60, [0, 1] if step == 1 else [0]))
    rows = rows_of(going, coming, step=step)
    ids = identify(rows, FPS, read=1000)
    dropped = rows["frame"][ids == 0] // step
    np.testing.assert_array_equal(dropped, [57, 58, 59, 90, 91] if step == 1 else [59, 90])


@pytest.mark.parametrize(
    "size",
    [
        shrinking(60, [30, 31]),  # in the middle nothing hides them
        shrinking(60, [0, 1, 58, 59]),  # the clip begins and ends here
        np.linspace(200, 100, 60),  # somebody bends down
        np.full(60, 200.0),
    ],
)
def test_other_changes_of_size_stay(size):
    rows = rows_of(piece(0, 59, size=size))
    assert set(identify(rows, FPS, read=60)) == {1}


PEOPLE = (piece(0, 50, looks=0), piece(0, 50, x=900, looks=1), piece(60, 100, x=1500, looks=2))


@pytest.mark.parametrize("merge", [[(1, 2), (2, 3)], [(2, 3), (1, 2)], [(3, 1, 2)]])
def test_merged_with_one_who_is_merged_is_one_person(merge):
    merged = names(rows_of(*PEOPLE), merge=merge)
    assert merged[3] == {1} and merged[1] | merged[2] == {0, 1}  # of two in a frame the surer one stays


def test_nobody_cannot_be_merged_or_split():
    rows = rows_of(*PEOPLE, piece(20, 21, x=1900, looks=3))
    assert names(rows, merge=[(0, 1)], split=[(0, 20)]) == names(rows) == {1: {1}, 2: {2}, 3: {3}, 4: {0}}


def test_a_wrong_link_can_be_cut_and_joined_again():
    rows = rows_of(piece(0, 60), piece(85, 140))
    assert names(rows) == {1: {1}, 2: {1}}
    assert names(rows, split=[(1, 85)]) == {1: {1}, 2: {2}}
    assert names(rows, split=[(1, 85)], merge=[(1, 2)]) == {1: {1}, 2: {1}}


def stretches(rows, **edits):
    """{id: (first, last frame)} of everybody."""
    ids = identify(rows, FPS, read=1000, **edits)
    return {int(k): (*rows["frame"][ids == k][[0, -1]].tolist(),) for k in np.unique(ids[ids > 0])}


def test_edits_follow_each_other_on_the_ids_that_are_seen():
    rows = rows_of(piece(0, 60), piece(0, 60, x=900, looks=1), piece(200, 300, x=1500, looks=2))
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
        assert stretches(rows, edits=edits) == expected


def test_a_new_name_takes_nobody_elses():
    rows = rows_of(*PEOPLE)
    assert stretches(rows, edits=[("split", 1, 20, 3)]) == {1: (0, 19), 2: (0, 50), 3: (20, 50), 4: (60, 100)}


@pytest.mark.parametrize(
    "edit",
    [("merge", 1, 9, 0), ("split", 9, 20, 10), ("split", 1, 900, 9), ("merge", 0, 1, 0), ("split", 0, 20, 9)],
)
def test_an_edit_of_nobody_changes_nothing(edit):
    rows = rows_of(*PEOPLE, piece(20, 21, x=1900, looks=3))
    assert stretches(rows, edits=[edit]) == stretches(rows)


def test_edits_come_after_the_old_merge_and_split():
    rows = rows_of(*PEOPLE)
    old = {"merge": [(1, 3)], "split": [(2, 20)]}
    assert stretches(rows, **old) == {1: (0, 100), 2: (0, 19), 4: (20, 50)}
    assert stretches(rows, **old, edits=[("merge", 2, 4, 0), ("split", 1, 60, 5)]) == {
        1: (0, 50), 2: (0, 50), 5: (60, 100),
    }  # fmt: skip


def test_the_input_is_left_alone():
    rows = rows_of(*PEOPLE)
    before = {name: values.copy() for name, values in rows.items()}
    identify(rows, FPS, merge=[(1, 3)], split=[(2, 20)], edits=[("merge", 1, 2, 0)])
    for name, values in rows.items():
        np.testing.assert_array_equal(values, before[name])


def test_the_largest_and_longest_comes_first():
    rows = rows_of(
        piece(0, 50, size=100), piece(0, 50, x=900, size=300, looks=1), piece(0, 9, x=1500, size=300, looks=2)
    )
    tracks = tracks_from_detections(rows, identify(rows, FPS), 1)
    assert [track.id for track in tracks] == [2, 1, 3]


def test_the_best_row_is_large_and_whole():
    rows = rows_of(piece(0, 20, size=np.linspace(100, 200, 21)))
    rows["keypoints2d"][15:, :, 2] = 0.2  # half hidden from there on
    (track,) = tracks_from_detections(rows, rows["person"], 1)
    assert best_row(track) == 14
