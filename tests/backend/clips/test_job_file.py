"""The job file: saved and loaded without a change; error messages name the wrong value."""

import json
from dataclasses import replace
from fractions import Fraction

import pytest

from backend.clips.job_file import ClipJobFile
from backend.errors import BadInput

JOB = ClipJobFile(source="/clips/größe 1.mp4", out="/out/größe")


def test_a_saved_job_is_loaded_unchanged(tmp_path):
    job = replace(
        JOB,
        first=3,
        last=90,
        step=2,
        fps="30000/1001",
        smoothing=0.25,
        merge=((1, 2),),
        split=((3, 40),),
        edits=(("merge", 1, 2, 0), ("split", 1, 40, 7)),
        keep=(1,),
    )
    job.save(tmp_path / "job.json")
    assert ClipJobFile.load(tmp_path / "job.json") == job
    assert job.rate == Fraction(30000, 1001)


def test_paths_are_relative_to_the_job_file(tmp_path):
    replace(JOB, source="a.mp4", out="a.out", camera="camera.json").save(tmp_path / "job.json")
    job = ClipJobFile.load(tmp_path / "job.json")
    assert job.source == str(tmp_path / "a.mp4")
    assert job.out == str(tmp_path / "a.out")
    assert job.camera == str(tmp_path / "camera.json")
    JOB.save(tmp_path / "job.json")
    assert ClipJobFile.load(tmp_path / "job.json").camera == ""


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"smoothing": 1.5}, "smoothing"),
        ({"smoothing": "much"}, "smoothing"),
        ({"smoothing": float("nan")}, "smoothing"),
        ({"step": 0}, "step"),
        ({"step": True}, "step"),
        ({"first": -1}, "first"),
        ({"first": 9, "last": 3}, "last"),
        ({"fps": "fast"}, "fps"),
        ({"fps": "1/0"}, "fps"),
        ({"foot_lock": "sometimes"}, "foot_lock"),
        ({"height_m": 180.0}, "height_m"),
        ({"version": 2}, "version"),
        ({"camera": 7}, "camera"),
        ({"scene_scale": -1.0}, "scene_scale"),
        ({"scene_scale": "big"}, "scene_scale"),
        ({"split": [[1, 2, 3]]}, "split"),
        ({"edits": [["merge", 1, 2]]}, "edits"),
        ({"edits": [["merge", 1, 2, 3]]}, "edits"),
        ({"edits": [["split", 1, 40, 1]]}, "edits"),
        ({"edits": [["split", 1, 40, 0]]}, "edits"),
        ({"edits": [["split", 1, "40", 2]]}, "edits"),
        ({"edits": [["paint", 1, 2, 0]]}, "edits"),
        ({"edits": ["merge"]}, "edits"),
        ({"edits": 3}, "edits"),
        ({"colour": "red"}, "colour"),
        ({"source": ""}, "source"),
    ],
)
def test_wrong_values_are_named(tmp_path, change, word):
    content = {"recover_mesh": "clip", "source": "a.mp4", "out": "out", **change}
    (tmp_path / "job.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, check=lambda error: error.code == "bad_job") as caught:
        ClipJobFile.load(tmp_path / "job.json")
    assert word in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("content", ["", "{", "[]", '{"recover_mesh": "photo"}', '{"recover_mesh": "clip"}'])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "job.json").write_text(content)
    with pytest.raises(BadInput, check=lambda error: error.code == "bad_job"):
        ClipJobFile.load(tmp_path / "job.json")


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(BadInput, check=lambda error: error.code == "file_missing"):
        ClipJobFile.load(tmp_path / "job.json")


def test_keys_change_with_the_settings_that_they_cover():
    smoother, other_model = replace(JOB, smoothing=0.9), replace(JOB, model="smpler-w32")
    moved = replace(JOB, source="/elsewhere/a.mp4", out="/elsewhere")
    assert smoother.clip_key == JOB.clip_key  # the journal stays valid
    assert smoother.motion_key != JOB.motion_key
    edited = replace(JOB, edits=(("merge", 1, 2, 0),))
    assert (edited.clip_key, edited.motion_key != JOB.motion_key) == (JOB.clip_key, True)
    assert other_model.clip_key != JOB.clip_key
    scaled, with_camera = replace(JOB, scene_scale=2.0), replace(JOB, camera="/camera.json")
    assert (scaled.clip_key, with_camera.clip_key) == (JOB.clip_key, JOB.clip_key)
    assert scaled.motion_key != JOB.motion_key
    assert (moved.clip_key, moved.motion_key) == (JOB.clip_key, JOB.motion_key)
