"""Recover Mesh for clips, with the real backend."""

import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest
from clip_helpers import rigs

from backend.body.loader import load_body
from benchmarks.clips.motions import MOTIONS, MotionMaker
from blender_addon.scene import clip, fcurves


@pytest.fixture(scope="module")
def footage(model, tmp_path_factory):
    from benchmarks.clips.__main__ import write_clip
    from benchmarks.clips.render import Renderer

    gt_scene = MOTIONS["walk"](MotionMaker(model, 15.0), (640, 360), seconds=2.2)
    return str(write_clip(tmp_path_factory.mktemp("footage"), "walk", gt_scene, Renderer(model)))


def test_the_button_recovers_a_clip_and_a_second_click_is_quick(real_backend, scene, footage, tmp_path):
    settings = scene.recover_mesh
    # a new path, so that no journal of the clip exists
    settings.source, settings.clip.path = "CLIP", str(shutil.copy(footage, tmp_path))
    assert bpy.ops.recover_mesh.recover_clip() == {"FINISHED"}
    assert real_backend.state.error is None
    assert not [n for n in real_backend.state.notes if "33 frames were done" in n]
    (rig,) = rigs(scene).values()
    assert len(fcurves.curves_of(rig.animation_data.action)[0].keyframe_points) == 33
    assert [(p.id, p.use) for p in settings.clip.people] == [(1, True)]
    (collection,) = clip.clips(scene)
    first = np.array(rig.pose.bones["pelvis"].matrix)
    scene.frame_set(20)
    assert np.abs(np.array(rig.pose.bones["pelvis"].matrix) - first).max() > 0.1
    assert Path(collection["job"], "person1.npz").is_file()
    settings.clip.smoothing = 0.9
    assert bpy.ops.recover_mesh.recover_clip() == {"FINISHED"}
    assert [n for n in real_backend.state.notes if "33 frames were done" in n], real_backend.state.notes
    assert len(rigs(scene)) == 1


def test_a_person_is_split_and_merged_by_the_buttons(real_backend, scene, footage):
    settings = scene.recover_mesh
    settings.source, settings.clip.path = "CLIP", footage
    bpy.ops.recover_mesh.recover_clip()
    settings.clip.people[0].select = True
    scene.frame_set(15)
    bpy.ops.recover_mesh.split_person()
    assert bpy.ops.recover_mesh.recover_clip() == {"FINISHED"}
    assert [n for n in real_backend.state.notes if "33 frames were done" in n]  # only the last step was repeated
    assert [(p.id, p.first, p.last, p.seen) for p in settings.clip.people] == [(2, 14, 32, 19), (1, 0, 13, 14)]
    keys = {k: fcurves.curves_of(r.animation_data.action)[0].keyframe_points for k, r in rigs(scene).items()}
    assert {k: (p[0].co[0], p[-1].co[0]) for k, p in keys.items()} == {1: (1, 14), 2: (15, 33)}
    for one in settings.clip.people:
        one.select = True
    bpy.ops.recover_mesh.merge_people()
    bpy.ops.recover_mesh.recover_clip()
    assert [(p.id, p.first, p.last, p.seen) for p in settings.clip.people] == [(1, 0, 32, 33)]
    assert set(rigs(scene)) == {1}


def test_people_who_are_not_ticked_are_left_out(real_backend, scene, footage):
    settings = scene.recover_mesh
    settings.source, settings.clip.path = "CLIP", footage
    bpy.ops.recover_mesh.recover_clip()
    settings.clip.people[0].use = False
    with pytest.raises(RuntimeError, match="No person is ticked"):
        bpy.ops.recover_mesh.recover_clip()


def test_missing_clip_is_an_error(real_backend, scene, tmp_path):
    settings = scene.recover_mesh
    settings.source, settings.clip.path = "CLIP", str(tmp_path / "none.mp4")
    with pytest.raises(RuntimeError, match="There is no file"):
        bpy.ops.recover_mesh.recover_clip()


def test_the_result_of_the_command_line_can_be_imported(real_backend, scene, footage, tmp_path, addon_body):
    from backend.export.blender_export import _write_body

    scene.recover_mesh.source, scene.recover_mesh.clip.path = "CLIP", footage
    bpy.ops.recover_mesh.recover_clip()
    folder = clip.clips(scene)[0]["job"]
    _write_body(tmp_path / "body.npz", load_body("open"))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.recover_mesh.import_result(filepath=str(Path(folder, "person1.npz")), body=str(tmp_path / "body.npz"))
    assert set(rigs(bpy.context.scene)) == {1}


def test_the_strip_gives_path_range_and_start(scene, footage):
    scene.sequence_editor_create()
    editor = scene.sequence_editor
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    strip = strips.new_movie("walk", footage, channel=1, frame_start=101)
    strip.frame_offset_start, strip.frame_final_duration = 5, 20
    editor.active_strip = strip
    bpy.ops.recover_mesh.use_strip()
    settings = scene.recover_mesh.clip
    assert bpy.path.abspath(settings.path) == footage
    assert (settings.use_range, settings.first, settings.last, settings.start) == (True, 6, 25, 101)
