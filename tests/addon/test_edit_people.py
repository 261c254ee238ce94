"""Edits of the track ids of a clip: the list of people follows, undo reverts them, the job file contains them."""

import json
from pathlib import Path

import bpy
import numpy as np
import pytest

from backend.clips.job_file import ClipJobFile
from backend.people.track import identities
from blender_addon.settings import clip_edits, clip_source

START = 11
FOUND = {1: (0, 60, 61), 2: (0, 50, 40), 3: (85, 140, 56)}  # id: first, last, seen


def arrays(found, kept=None):
    """The protocol's `people`."""
    kept = found if kept is None else kept
    return {
        "people": np.array(list(found)),
        "first": np.array([row[0] for row in found.values()]),
        "last": np.array([row[1] for row in found.values()]),
        "seen": np.array([row[2] for row in found.values()]),
        "kept": np.array([k in kept for k in found]),
    }


def recovered(clip, found, **fields):
    """Store people as a run does that found them."""
    fields = {"source": clip_source.clip_path(clip), **clip_source.frame_fields(clip), **fields}
    clip_edits.store(clip, fields, clip.start, arrays(found))


@pytest.fixture
def clip(scene, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"")
    scene.recover_mesh.source = "CLIP"
    settings = scene.recover_mesh.clip
    settings.path, settings.start = str(tmp_path / "clip.mp4"), START
    recovered(settings, FOUND)
    return settings


def select(clip, *ids):
    for one in clip.people:
        one.select = one.id in ids


def merge(clip, *ids):
    select(clip, *ids)
    assert bpy.ops.recover_mesh.merge_people() == {"FINISHED"}


def split(scene, clip, person, frame):
    """Split a person at this frame of the clip."""
    select(clip, person)
    scene.frame_set(START + frame)
    assert bpy.ops.recover_mesh.split_person() == {"FINISHED"}


def people(clip):
    return {one.id: (one.first, one.last) for one in clip.people}


def job(scene):
    return clip_source.job_fields(scene.recover_mesh, scene)


def test_unedited_people_have_nothing_pending(scene, clip):
    assert people(clip) == {1: (0, 60), 2: (0, 50), 3: (85, 140)}
    assert not clip_edits.has_pending_edits(clip)
    assert not {"edits", "keep"} & set(job(scene))


@pytest.mark.parametrize(("ids", "left"), [((1, 3), {1: (0, 140), 2: (0, 50)}), ((1, 2, 3), {1: (0, 140)})])
def test_merge(scene, clip, ids, left):
    merge(clip, *ids)
    assert people(clip) == left
    assert job(scene)["edits"] == [["merge", 1, other, 0] for other in ids[1:]]
    assert clip_edits.has_pending_edits(clip)


@pytest.mark.parametrize("ids", [(), (2,)])
def test_one_person_cannot_be_merged(clip, ids):
    select(clip, *ids)
    assert not bpy.ops.recover_mesh.merge_people.poll()
    with pytest.raises(RuntimeError):
        bpy.ops.recover_mesh.merge_people()
    assert len(clip.edits) == 0


def test_split_at_the_current_frame(scene, clip):
    split(scene, clip, 1, 30)
    assert people(clip) == {1: (0, 29), 4: (30, 60), 2: (0, 50), 3: (85, 140)}
    assert [one.id for one in clip.people] == [1, 4, 2, 3]
    assert job(scene)["edits"] == [["split", 1, 30, 4]]


@pytest.mark.parametrize(
    ("ids", "frame", "can"),
    [
        ((1,), START + 1, True),
        ((1,), START + 60, True),
        ((1,), START, False),  # no frame would be left before
        ((1,), START + 61, False),
        ((3,), START + 30, False),
        ((1, 2), START + 30, False),
        ((), START + 30, False),
    ],
)
def test_frames_at_which_a_split_is_possible(scene, clip, ids, frame, can):
    select(clip, *ids)
    scene.frame_set(frame)
    assert bpy.ops.recover_mesh.split_person.poll() == can
    assert bool(clip_edits.split_blocked_reason(clip, frame)) != can


def test_one_edit_follows_the_other(scene, clip):
    merge(clip, 1, 3)
    scene.frame_set(START + 100)
    bpy.ops.recover_mesh.split_person()  # the merged one is still selected
    merge(clip, 2, 4)
    split(scene, clip, 2, 120)
    assert people(clip) == {1: (0, 99), 2: (0, 119), 5: (120, 140)}
    edits = [["merge", 1, 3, 0], ["split", 1, 100, 4], ["merge", 2, 4, 0], ["split", 2, 120, 5]]
    assert job(scene)["edits"] == edits
    assert clip_edits.labels(clip) == ["3 merged into 1", "1 split at 111: 4", "4 merged into 2", "2 split at 131: 5"]


def test_backend_applies_the_same_edits(scene, clip):
    """The ids and ranges in the list are those that the backend computes from the job file."""
    test_one_edit_follows_the_other(scene, clip)
    frames = np.concatenate([np.arange(first, last + 1) for first, last, _ in FOUND.values()])
    ids = np.repeat(list(FOUND), [last - first + 1 for first, last, _ in FOUND.values()])
    edited = identities.apply_edits(ids, frames, [tuple(edit) for edit in job(scene)["edits"]])
    for k, (first, last) in people(clip).items():
        own = frames[edited == k]
        assert first <= own.min() and own.max() <= last
    assert set(edited) == set(people(clip))


def test_applied_edits_stay_and_more_can_follow(scene, clip):
    merge(clip, 1, 3)
    recovered(clip, {1: (0, 140, 117), 2: (0, 50, 40)}, edits=job(scene)["edits"])
    assert not clip_edits.has_pending_edits(clip)
    split(scene, clip, 1, 90)
    assert clip_edits.has_pending_edits(clip)
    assert job(scene)["edits"] == [["merge", 1, 3, 0], ["split", 1, 90, 4]]


def test_reset_restores_the_found_people(scene, clip):
    assert not bpy.ops.recover_mesh.reset_people.poll()
    test_applied_edits_stay_and_more_can_follow(scene, clip)
    assert bpy.ops.recover_mesh.reset_people() == {"FINISHED"}
    assert people(clip) == {1: (0, 60), 2: (0, 50), 3: (85, 140)}
    assert "edits" not in job(scene)
    assert clip_edits.has_pending_edits(clip)  # the bodies are still those of the merge


def test_ticks_and_edits_combine(scene, clip):
    clip.people[1].use = False  # Person 2
    assert clip_edits.has_pending_edits(clip)
    split(scene, clip, 1, 30)
    assert job(scene)["keep"] == [1, 4, 3]
    merge(clip, 1, 2)
    assert "keep" not in job(scene)  # all remaining people are ticked


def test_undo_and_redo(scene, clip):
    bpy.ops.ed.undo_push(message="Before")
    merge(clip, 1, 3)
    bpy.ops.ed.undo_push(message="Merge")
    bpy.ops.ed.undo()
    clip = bpy.context.scene.recover_mesh.clip
    assert people(clip) == {1: (0, 60), 2: (0, 50), 3: (85, 140)}
    assert len(clip.edits) == 0
    bpy.ops.ed.redo()
    clip = bpy.context.scene.recover_mesh.clip
    assert people(clip) == {1: (0, 140), 2: (0, 50)}


def test_edits_are_saved_with_the_file(scene, clip, tmp_path):
    merge(clip, 1, 3)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    scene = bpy.context.scene
    assert job(scene)["edits"] == [["merge", 1, 3, 0]]
    assert bpy.ops.recover_mesh.reset_people() == {"FINISHED"}
    assert people(scene.recover_mesh.clip) == {1: (0, 60), 2: (0, 50), 3: (85, 140)}


def test_another_range_has_other_people(scene, clip):
    merge(clip, 1, 3)
    clip.people[1].use = False
    clip.step = 2
    assert not {"edits", "keep"} & set(job(scene))
    assert not bpy.ops.recover_mesh.reset_people.poll()
    recovered(clip, {1: (0, 140, 70)})
    assert len(clip.edits) == 0
    assert people(clip) == {1: (0, 140)}


def test_the_backend_reads_the_job_file(scene, clip, tmp_path):
    test_one_edit_follows_the_other(scene, clip)
    fields = {**job(scene), "out": str(tmp_path / "out")}
    path = Path(clip_source.write_job(fields))
    assert ClipJobFile.load(path).edits == tuple(map(tuple, fields["edits"]))
    assert json.loads(path.read_text())["edits"] == fields["edits"]
