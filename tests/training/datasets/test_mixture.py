"""Mixtures of data sets: Pose2Mesh's random one, and concatenation."""

import numpy as np
import pytest
from loader_fakes import Numbers

from backend.errors import BadInput
from training.datasets.mixture import Concatenation, RandomMix


def test_random_mix_draws_as_pose2mesh():
    sets = [Numbers(100, "a"), Numbers(30, "b"), Numbers(7, "c")]
    mix = RandomMix(sets)
    assert len(mix) == 300
    drawn = np.array([mix.locate(i, np.random.default_rng([1, 0, i])) for i in range(300)])
    share = np.bincount(drawn[:, 0]) / 300
    np.testing.assert_allclose(share, 1 / 3, atol=0.08)
    rows = np.arange(300) % 100
    for which, own in enumerate((100, 30, 7)):
        mine = drawn[:, 0] == which
        whole = mine & (rows < own * (100 // own))
        np.testing.assert_array_equal(drawn[whole, 1], rows[whole] % own)
        tail = drawn[mine & ~whole, 1]
        assert ((tail >= 0) & (tail < own)).all()
    assert len(set(drawn[(drawn[:, 0] == 1) & (rows >= 90), 1])) > 3  # random, not modular
    record = mix.draw(5, np.random.default_rng([1, 0, 5]))
    assert record.dataset == "abc"[drawn[5, 0]] and record.key == str(drawn[5, 1])


def test_weights_set_the_probabilities():
    mix = RandomMix([Numbers(10, "a"), Numbers(10, "b")], weights=[3, 1])
    picked = [mix.locate(0, np.random.default_rng(k))[0] for k in range(2000)]
    assert np.mean(picked) == pytest.approx(0.25, abs=0.03)
    with pytest.raises(BadInput, match="2 data sets cannot be drawn"):
        RandomMix([Numbers(1), Numbers(1)], weights=[1])


def test_concatenation():
    both = Concatenation([Numbers(3, "a"), Numbers(2, "b")])
    assert [(r.dataset, r.key) for r in both] == [("a", "0"), ("a", "1"), ("a", "2"), ("b", "0"), ("b", "1")]
    with pytest.raises(BadInput, match=r"without: \['b'\]"):
        RandomMix([Numbers(3), Numbers(0, "b")])


def test_check_finds_a_corrupt_row_in_one_set():
    mix = RandomMix([Numbers(3, "a"), Numbers(4, "b", broken=(2,))])
    assert [m[:13] for m in mix.check()] == ["b, row 2: bet"]
