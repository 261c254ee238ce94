"""Every quantity of a clip's rows, from the backend to what Blender animates: over the wire, and through npz files."""

from fractions import Fraction

import numpy as np
import pytest
from fake_backend import BODY, CAMERA, make_body

from backend import protocol as backend_protocol
from backend.clips.clip_run import final_chunk
from backend.clips.results import motion_fields, motion_from_fields
from backend.serving.clip_messages import chunk_message
from backend.structures import Motion, World
from blender_addon import protocol
from blender_addon.client.events import event_of
from blender_addon.protocol_rows import PERSON_FILE, ROWS, rows_of_file
from blender_addon.scene import clip, clip_npz

COUNT = 5
LABELS = {"model": "m", "body": BODY, "license": "CC0-1.0", "source": "größe.mp4", "notice": ""}


def random_rows(row, rng):
    """Numbers that float32 holds exactly, none of them 0."""
    values = rng.integers(1, 50, row.zeros(COUNT).shape) / 128
    return values > 0.2 if row.dtype == "bool" else values.astype(row.dtype)


@pytest.fixture
def motion():
    rng = np.random.default_rng(0)
    rows = {name: random_rows(row, rng) for name, row in ROWS.items()}
    rows["frames"] = np.arange(3, 3 + 2 * COUNT, 2)
    return Motion(
        id=2,
        betas=rng.integers(1, 50, 10).astype(np.float32) / 128,
        joints=np.zeros((COUNT, 24, 3), np.float32),
        keypoints2d=np.zeros((COUNT, 33, 3), np.float32),
        **rows,
    )


@pytest.fixture
def animated(monkeypatch):
    """The motions that become actions."""
    taken = []
    write = clip.animation.write_motion

    def write_motion(rig, body, motion, *rest):
        taken.append(motion)
        return write(rig, body, motion, *rest)

    monkeypatch.setattr(clip.animation, "write_motion", write_motion)
    return taken


def assert_same(found, motion):
    np.testing.assert_array_equal(found.betas, motion.betas)
    for name, row in ROWS.items():
        value = getattr(found, name)
        np.testing.assert_array_equal(value, getattr(motion, name), err_msg=name)
        assert (value.dtype == bool) == (row.dtype == "bool"), name


def test_over_the_wire(scene, motion, animated):
    fields, arrays = chunk_message("j", 0, final_chunk([motion], World(), 0, 100))
    message = protocol.decode([bytes(frame) for frame in backend_protocol.encode("chunk", "", arrays, **fields)])
    chunk = event_of(*message, 1)
    info = clip.ClipInfo("/a.mp4", "/a", (640, 480), (600.0, 600.0, 319.5, 239.5), 25.0, 20, "m", BODY, "CC0-1.0")
    made = clip.ClipScene(scene, info, make_body())
    made.add(chunk.arrays, chunk.final, chunk.world, chunk.scene_scale)
    made.finish()
    assert_same(animated[0], motion)


def test_through_npz(scene, motion, animated, tmp_path):
    fields = motion_fields(motion, World(), CAMERA, Fraction(25), LABELS)
    assert list(fields) == [name for name in PERSON_FILE if name in fields]
    for name, array in fields.items():
        entry = PERSON_FILE[name]
        assert array.ndim == len(entry.shape), name
        assert array.dtype == entry.dtype or (entry.dtype, array.dtype.kind) == ("str", "U"), name
    path = tmp_path / "person2.npz"
    np.savez_compressed(path, **fields)
    with np.load(path) as archive:
        back, _ = motion_from_fields(dict(archive))
    assert_same(back, motion)
    clip_npz.build(scene, [str(path)], make_body())
    assert_same(animated[0], motion)


def test_files_of_before_a_row_was_there(motion):
    fields = motion_fields(motion, World(), CAMERA, Fraction(25), LABELS)
    late = [name for name, row in ROWS.items() if row.optional]
    assert late
    for name in late:
        del fields[name]
        value = rows_of_file(fields)[name]
        assert len(value) == COUNT and not value.any()
    del fields["contacts"]
    with pytest.raises(KeyError, match="contacts"):
        rows_of_file(fields)
