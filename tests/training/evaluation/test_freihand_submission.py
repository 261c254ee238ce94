"""FreiHAND's pred.zip: order, completeness, format."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from backend.errors import BadInput
from training.evaluation.freihand_submission import IMAGES, FreiHANDSubmission


def predictions(indices):
    """Predictions whose values encode the image index."""
    index = np.array(indices)
    return (
        index,
        np.broadcast_to(index[:, None, None] / 1000, (len(index), 21, 3)),
        np.broadcast_to(index[:, None, None] / 500, (len(index), 778, 3)),
    )


def test_predictions_are_written_in_the_order_of_the_images(tmp_path):
    assert IMAGES == 3960
    submission = FreiHANDSubmission(images=5)
    submission.add(*predictions([3, 1, 0]))
    submission.add(*predictions([2, 4]))
    index, joints, vertices = predictions([3])
    submission.add(index, joints + 9, vertices)  # padding of a sampler: the first stays
    path = submission.write(tmp_path)
    joints, vertices = json.loads(zipfile.ZipFile(path).read("pred.json"))
    assert np.shape(joints) == (5, 21, 3) and np.shape(vertices) == (5, 778, 3)
    np.testing.assert_allclose([row[0][0] for row in joints], np.arange(5) / 1000)
    np.testing.assert_allclose([row[777][2] for row in vertices], np.arange(5) / 500)


def test_incomplete_and_wrong_predictions_are_refused(tmp_path):
    submission = FreiHANDSubmission(images=5)
    submission.add(*predictions([0, 2]))
    with pytest.raises(BadInput, match=r"2 images have a prediction, not 1, 3, 4"):
        submission.write(tmp_path)
    with pytest.raises(BadInput, match="index 5"):
        submission.add(*predictions([5]))
    index, joints, vertices = predictions([1])
    with pytest.raises(BadInput, match="NaN or infinite"):
        submission.add(index, joints * np.nan, vertices)
    with pytest.raises(BadInput, match=r"\(20, 3\)"):
        submission.add(index, joints[:, :20], vertices)
