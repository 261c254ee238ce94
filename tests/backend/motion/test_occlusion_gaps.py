"""Rows without a detection: hidden or interpolated."""

import numpy as np

from backend.body.kinematics import State
from backend.geometry import rotations_numpy as rot
from backend.motion.occlusion_gaps import hidden_rows, interpolate_state


def test_only_rows_of_long_gaps_are_hidden():
    seen = np.ones(200, bool)
    seen[10:40] = False  # a second of 30 frames
    seen[80:111] = False
    np.testing.assert_array_equal(np.nonzero(hidden_rows(seen, 30.0))[0], np.arange(80, 111))
    assert not hidden_rows(seen, 31.0).any()
    assert not hidden_rows(np.zeros(0, bool), 30.0).any()


def test_states_are_interpolated_and_constant_outside():
    rotations = rot.exp(np.array([[[0.0, 0, 0]], [[0, 0.8, 0]]]))
    known = State(rotations, np.zeros((2, 10)), np.array([[0.0, 0, 0], [4.0, 0, 0]]))
    found = interpolate_state(known, np.array([1, 5]), 7)
    np.testing.assert_allclose(found.trans[:, 0], [0, 0, 1, 2, 3, 4, 4])
    np.testing.assert_allclose(rot.log(found.rotations)[:, 0, 1], [0, 0, 0.2, 0.4, 0.6, 0.8, 0.8], atol=1e-12)
