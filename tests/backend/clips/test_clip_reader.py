"""Reading in chunks: resumed after any chunk, it gives the same numbers."""

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
    clip_detector = ClipDetector()
    yield clip_detector
    clip_detector.close()


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
def uninterrupted(walk, detector):
    """All chunks, read by one reader."""
    return read(walk, detector)


def test_a_resumed_reader_gives_the_same_chunks_bit_by_bit(walk, detector, uninterrupted):
    resumed = read(walk, detector, read(walk, detector, chunks=1)[0])
    assert len(uninterrupted) == 3 and len(resumed) == 2
    for expected, found in zip(uninterrupted[1:], resumed, strict=True):
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_only_a_preview_that_needs_pixels_gets_images(walk, detector):
    shapes = []

    class PixelPreview(NoBodyFit):
        needs_pixels = True

        def bodies(self, detections, pixels, before):
            shapes.append([image.shape for image in pixels])
            return {}

    read(walk, detector, chunks=1, preview=PixelPreview())
    assert shapes == [[(360, 640, 3)] * 16]
    assert not KeypointPreview.needs_pixels


def test_keypoints_of_reduced_frames_are_in_full_size_pixels(walk, detector, uninterrupted, monkeypatch):
    monkeypatch.setattr("backend.clips.clip_reader.WORKING_SIDE", 480)
    small = read(walk, detector, chunks=1)[0]
    np.testing.assert_array_equal(small["frame"], uninterrupted[0]["frame"])
    gap = np.linalg.norm(small["keypoints2d"][..., :2] - uninterrupted[0]["keypoints2d"][..., :2], axis=-1)
    assert np.median(gap) < 4  # px of 360
