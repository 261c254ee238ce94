"""Quality properties, problem markers, and hidden people of a clip."""

import bpy
import numpy as np
import pytest
from clip_helpers import COUNT, build_clip, chunk, info_of, rigs, world_of

from blender_addon.scene import clip, export, fcurves, quality


def test_quality_properties_and_markers(scene, built_clip):
    rig = rigs(scene)[1]
    scene.frame_set(11 + 22)
    assert rig["filled"] == 1
    assert rig["problem"] == pytest.approx(1.0)
    scene.frame_set(11 + 5)
    assert rig["filled"] == 0
    found = quality.problem_markers(scene)
    assert found
    assert any("filled in 21-25" in marker.name for marker in found)
    bpy.ops.recover_mesh.next_problem()
    assert scene.frame_current == found[0].frame
    assert bpy.context.view_layer.objects.active == scene.objects[found[0].person]


def test_hidden_frames_hide_the_person_and_score_low(scene, addon_body, gt_scene, tmp_path):
    first = chunk(gt_scene, 0, COUNT, people=(1,), filled=range(12, 30), hidden=range(12, 30))
    second = chunk(gt_scene, 0, COUNT, people=(2,), filled=range(20, 25))
    build_clip(scene, addon_body, info_of(gt_scene), gt_scene, first, second)
    rig, other = rigs(scene)[1], rigs(scene)[2]
    for t, hidden in ((11, False), (12, True), (29, True), (30, False)):
        scene.frame_set(11 + t)
        for obj in (rig, export.body_mesh_of(rig)):
            assert (obj.hide_viewport, obj.hide_render, rig["hidden"]) == (hidden, hidden, hidden), t
        assert not other.hide_viewport
        assert not export.body_mesh_of(other).hide_render
    visibility = [c for c in fcurves.curves_of(rig.animation_data.action) if c.data_path.startswith("hide_")]
    assert {key.interpolation for curve in visibility for key in curve.keyframe_points} == {"CONSTANT"}
    found = quality.problem_markers(scene)
    assert found[0].person == other.name  # interpolated and visible
    assert any("hidden 13-30" in one.name and one.score < 0.2 for one in found)
    assert not any("jerk" in one.name and 11 <= one.frame - 11 <= 31 and one.person == rig.name for one in found)
    # exporters write all frames, those of hidden people too
    scene.frame_set(11 + 20)
    export.write(str(tmp_path / "a.pc2"), scene, [rig])
    assert rig.hide_viewport
    points = np.frombuffer((tmp_path / "a.pc2").read_bytes()[32:], np.float32).reshape(COUNT, -1, 3)
    assert np.abs(np.diff(points, axis=0)).max(axis=(1, 2)).min() > 1e-4


def test_visible_again_after_hidden_frames(scene, addon_body, gt_scene):
    clip_scene = clip.ClipScene(scene, info_of(gt_scene), addon_body)
    rows = chunk(gt_scene, 0, 10, people=(1,), filled=range(5, 10), hidden=range(5, 10))
    clip_scene.add(rows, False, world_of(gt_scene))
    clip_scene.flush(force=True)
    scene.frame_set(11 + 7)
    assert rigs(scene)[1].hide_render
    actions = len(bpy.data.actions)
    clip_scene.add(chunk(gt_scene, 0, 10, people=(1,)), True, world_of(gt_scene))
    clip_scene.finish()
    rig = rigs(scene)[1]
    scene.frame_set(11 + 7)
    assert not rig.hide_render
    assert not export.body_mesh_of(rig).hide_render
    assert len(bpy.data.actions) < actions


def test_next_problem_goes_by_score(scene, built_clip):
    found = quality.problem_markers(scene)
    visited = []
    for _ in found:
        bpy.ops.recover_mesh.next_problem()
        visited.append(scene.frame_current)
    assert sorted(visited) == sorted(marker.frame for marker in found)
