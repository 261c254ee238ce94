"""Reading in chunks: stopped anywhere it goes on with the same numbers, and is told what was lost."""

import numpy as np
import pytest

from backend.clips.clip_reader import ClipReader
from backend.clips.preview import KeypointPreview
from backend.media.video import open_clip
from backend.people.detect.clip_detector import ClipDetector
from backend.structures import Camera
from benchmarks.tracking import NoBodyFit


@pytest.fixture(scope="module")
def detector():
    found = ClipDetector()
    yield found
    found.close()


def read(walk, detector, last=None, chunks=9, preview=None):
    clip = open_clip(walk)
    camera = Camera(768, 768, 319.5, 179.5, clip.info.width, clip.info.height)
    reader = ClipReader(clip, camera, detector, preview or NoBodyFit(), last, float(clip.info.fps), 1)
    found = []
    while chunks and (chunk := reader.next_chunk(lambda count, stage: None)) is not None:
        found.append(chunk)
        chunks -= 1
    reader.close()
    return found


@pytest.fixture(scope="module")
def whole(walk, detector):
    """All chunks, read without a stop."""
    return read(walk, detector)


def test_stopped_after_a_chunk_it_reads_on_the_same_bit_by_bit(walk, detector, whole):
    resumed = read(walk, detector, read(walk, detector, chunks=1)[0])
    assert len(whole) == 3 and len(resumed) == 2
    for expected, found in zip(whole[1:], resumed, strict=True):
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_images_are_kept_only_where_needed(walk, detector, monkeypatch):
    given = []

    class Looking(NoBodyFit):
        needs_pixels = True

        def bodies(self, rows, pixels, before):
            given.append([picture.shape for picture in pixels])
            return {}

    read(walk, detector, chunks=1, preview=Looking())
    assert given == [[(360, 640, 3)] * 16]
    assert not KeypointPreview.needs_pixels


def test_smaller_frames_give_full_size_pixels(walk, detector, whole, monkeypatch):
    monkeypatch.setattr("backend.clips.clip_reader.WORKING_SIDE", 480)
    small = read(walk, detector, chunks=1)[0]
    np.testing.assert_array_equal(small["frame"], whole[0]["frame"])
    gap = np.linalg.norm(small["keypoints2d"][..., :2] - whole[0]["keypoints2d"][..., :2], axis=-1)
    assert np.median(gap) < 4  # px of 360
