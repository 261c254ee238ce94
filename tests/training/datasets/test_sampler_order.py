"""The order of samples depends on seed and epoch alone, not on the number of processes."""

import itertools

import numpy as np
import pytest

from backend.errors import BadInput
from training.datasets.sampler import GlobalBatches, Progress


def _rows(batches, epoch=0, start=0):
    return [[d.row for d in batch] for batch in batches.batches(epoch, start)]


def _flat(lists):
    return [item for one in lists for item in one]


def test_two_processes_equal_one_with_twice_the_batch():
    one = _rows(GlobalBatches(50, 8, seed=5))
    first, second = (_rows(GlobalBatches(50, 4, rank, 2, seed=5)) for rank in (0, 1))
    assert [a + b for a, b in zip(first, second, strict=True)] == one
    four = [_rows(GlobalBatches(50, 2, rank, 4, seed=5)) for rank in range(4)]
    assert [_flat(parts) for parts in zip(*four, strict=True)] == one


def test_an_epoch_has_every_row_once_in_its_own_order():
    batches = GlobalBatches(37, 5, seed=1, drop_last=False)
    epochs = [_flat(_rows(batches, epoch)) for epoch in range(3)]
    assert all(sorted(rows) == list(range(37)) for rows in epochs)
    assert epochs[0] != epochs[1] != epochs[2] and epochs[0] != sorted(epochs[0])
    assert epochs[0] == _flat(_rows(GlobalBatches(37, 5, seed=1, drop_last=False)))
    assert epochs[0] != _flat(_rows(GlobalBatches(37, 5, seed=2, drop_last=False)))
    assert len(batches) == 8 and len(GlobalBatches(37, 5)) == 7


def test_the_order_is_frozen():
    """Checkpoints of earlier versions must resume: these numbers may never change."""
    assert GlobalBatches(8, 8, seed=88).order(2).tolist() == [5, 2, 0, 1, 6, 3, 7, 4]


def test_the_last_global_batch_with_and_without_padding():
    padded = [GlobalBatches(11, 2, rank, 3, drop_last=False) for rank in range(3)]
    assert [len(b) for b in padded] == [2, 2, 2]
    rows = [_rows(b) for b in padded]
    assert [len(r[-1]) for r in rows] == [2, 2, 2]  # 5 left, one repeated
    assert sorted(set(_flat(_flat(rows)))) == list(range(11))
    assert rows[2][-1][-1] == rows[0][0][0]
    plain = [GlobalBatches(7, 2, rank, 3, shuffle=False, drop_last=False, pad=False) for rank in range(3)]
    assert [_rows(b) for b in plain] == [[[0, 1], [6]], [[2, 3]], [[4, 5]]]
    assert [len(b) for b in plain] == [2, 1, 1]


@pytest.mark.parametrize("drop_last", [False, True])
def test_accumulated_batches_equal_those_of_more_processes(drop_last):
    """4 processes, and 2 that accumulate over 2 batches: the same rows in every step, also in the last."""
    four = [_rows(GlobalBatches(43, 3, rank, 4, seed=5, drop_last=drop_last)) for rank in range(4)]
    two = [_rows(GlobalBatches(43, 3, rank, 2, seed=5, drop_last=drop_last, accumulation_steps=2)) for rank in range(2)]
    steps = len(four[0])
    assert steps == (3 if drop_last else 4)
    assert [len(rows) for rows in two] == [2 * steps, 2 * steps]
    for step in range(steps):
        here = [two[rank][2 * step + part] for rank in range(2) for part in range(2)]
        assert here == [four[rank][step] for rank in range(4)]
    batches = GlobalBatches(43, 3, seed=5, accumulation_steps=2)
    assert _rows(batches, start=4) == _rows(batches)[4:]


def test_too_few_rows_for_a_batch():
    with pytest.raises(BadInput, match="7 rows, fewer than one batch of 4 x 1 processes x 2 accumulation steps"):
        GlobalBatches(7, 4, accumulation_steps=2)
    with pytest.raises(BadInput, match="3 rows, fewer than one batch of 4 x 2"):
        GlobalBatches(3, 4, 0, 2)
    assert len(GlobalBatches(3, 4, drop_last=False)) == 1


def test_progress_resumes_at_its_state():
    def walk(progress, count):
        seen = []
        while len(seen) < count:
            progress.begin()
            for batch in itertools.islice(progress.stream(), count - len(seen)):
                progress.done += 1
                seen.append(batch)
        return seen

    def start():
        return Progress(GlobalBatches(22, 4, seed=9))

    whole = walk(start(), 13)
    for stop in (0, 1, 4, 5, 7, 10):
        first, second = start(), start()
        seen = walk(first, stop)
        second.load_state_dict(first.state_dict())
        assert seen + walk(second, 13 - stop) == whole


def test_no_resume_with_other_data_or_batches():
    state = Progress(GlobalBatches(22, 4, seed=9)).state_dict()
    Progress(GlobalBatches(22, 2, 1, 2, seed=9)).load_state_dict(state)  # more processes, the same global batch
    others = (
        GlobalBatches(23, 4, seed=9),
        GlobalBatches(22, 8, seed=9),
        GlobalBatches(22, 4, seed=8),
        GlobalBatches(22, 2, seed=9, accumulation_steps=2),  # Lightning counts batches, not steps
    )
    for other in others:
        with pytest.raises(BadInput, match="cannot be resumed in the middle"):
            Progress(other).load_state_dict(state)


def test_shuffling_separates_neighbours():
    """Almost no rows stay neighbours."""
    order = GlobalBatches(5000, 10, seed=0).order(0)
    assert (np.diff(order) == 1).sum() < 10
